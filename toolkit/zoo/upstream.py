"""Networks as the libraries they come from build them. PaddleClas is imported when one of its networks is built."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from paddle import nn
from paddle.utils import unique_name

from toolkit.core.errors import NetworkError
from toolkit.zoo.spec import NetworkSpec

_CLAS = "paddleclas"
_CLAS_LOGGER = "ppcls"
_INSTALL_CLAS = 'pip install -e ".[clas]" && pip install --no-deps paddleclas==2.6.0'


def build_original(spec: NetworkSpec) -> nn.Layer:
    """The original network of a row, with random weights.

    Raises:
        NetworkError: The network is PaddleClas's, which is not installed, or not as the row needs it.
    """
    module, _, name = spec.factory.rpartition(".")
    library = _import_clas(spec.name) if spec.library == _CLAS else import_module(module)
    if not hasattr(library, name):
        raise NetworkError(
            f"{spec.name}: the installed {spec.library} has no {name}",
            hint=_hint() if spec.library == _CLAS else f"install a version of {spec.library} that the toolkit supports",
        )
    with _own_names(spec.library):
        network: nn.Layer = getattr(library, name)(**spec.options)
    return network


def known_keys(network: nn.Layer) -> frozenset[str]:
    """State-dict keys that weights of a network may have: its own, and those of buffers that it computes anew.

    Swin's files hold masks, which newer code does not keep.
    """
    keys = set(network.state_dict())
    for path, layer in network.named_sublayers(include_self=True):
        keys |= {f"{path}.{name}" if path else name for name in layer._buffers}
    return frozenset(keys)


def _import_clas(network: str) -> Any:
    try:
        with _silence():
            library = import_module(_CLAS)
    except (ImportError, AttributeError, TypeError) as error:  # missing, or at odds with what else is installed
        missing = isinstance(error, ModuleNotFoundError) and error.name == _CLAS
        what = "which is not installed" if missing else f"which cannot be imported: {error}"
        raise NetworkError(f"{network} is a network of PaddleClas, {what}", hint=_hint()) from error
    logging.getLogger(_CLAS_LOGGER).setLevel(logging.ERROR)  # it writes warnings to stdout, about its own code
    return library


def _hint() -> str:
    return f"in the toolkit's folder: {_INSTALL_CLAS}"


@contextmanager
def _own_names(library: str) -> Iterator[None]:
    """Parameter names for one network alone.

    Many networks of PaddleClas name their parameters (``conv1_weights``), and Paddle refuses a name that is taken: none
    of them could be built a second time. Names that Paddle makes itself get a prefix, so that they differ from others.
    """
    with unique_name.guard(f"{unique_name.generate(library)}_"):
        yield


@contextmanager
def _silence() -> Iterator[None]:
    """Neither warnings nor news about an import."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
