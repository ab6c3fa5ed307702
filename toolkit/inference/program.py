"""Export a network in training as a static program, without changing the network."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import paddle
from paddle.nn import Layer
from paddle.static import InputSpec

from toolkit.core.errors import DeployError
from toolkit.core.evaluation import evaluating
from toolkit.core.home import writable_home
from toolkit.inference.session import PADDLE_ERRORS, paddle_says

INPUT_NAME = "image"
PARAMS_NAME = "inference.pdiparams"
MODEL_NAME = ("inference.json", "inference.pdmodel")
_NOTHING = object()


def unwrapped(network: Layer) -> Layer:
    """The network without its data-parallel wrapper, if any."""
    return network._layers if isinstance(network, paddle.DataParallel) else network


@contextmanager
def _forwards_kept(network: Layer) -> Iterator[None]:
    """Undo changes by ``to_static``: Paddle 2 puts a converted ``forward`` on every layer."""
    kept = [
        (layer, layer.__dict__.get("forward", _NOTHING), dict(layer._original_funcs))
        for layer in network.sublayers(include_self=True)
    ]
    try:
        yield
    finally:
        for layer, forward, originals in kept:
            if forward is not _NOTHING:
                layer.__dict__["forward"] = forward
            else:
                layer.__dict__.pop("forward", None)
            layer._original_funcs.clear()
            layer._original_funcs.update(originals)


def save_program(network: Layer, folder: Path, shape: Sequence[int]) -> tuple[Path, Path]:
    """Save a network as a program for Paddle Inference; the batch size stays dynamic.

    Args:
        network: Takes ``[N, *shape]``; its modes, layers and weights do not change.
        folder: The target folder, which must exist.
        shape: Shape of one input, without the batch axis.

    Returns:
        Paths of the program (``.json`` by Paddle 3, ``.pdmodel`` by Paddle 2) and of the weights.

    Raises:
        DeployError: Paddle cannot trace the network.
    """
    spec = InputSpec([None, *shape], "float32", INPUT_NAME)
    with evaluating(network), _forwards_kept(network), writable_home(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            paddle.jit.save(network, str(folder / "inference"), input_spec=[spec])
        except PADDLE_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a full disk or similar, which the caller reports
            raise DeployError(
                f"Paddle cannot export this network: {paddle_says(error)}",
                hint="its forward() must not depend on tensor values, and its first argument must be named self",
            ) from error
    models = [folder / name for name in MODEL_NAME if (folder / name).is_file()]
    if not models or not (folder / PARAMS_NAME).is_file():
        raise DeployError(f"Paddle {paddle.__version__} wrote {sorted(p.name for p in folder.iterdir())} only")
    return models[0], folder / PARAMS_NAME
