"""All rows of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from toolkit.core.console import command
from toolkit.core.errors import NetworkError
from toolkit.core.names import did_you_mean
from toolkit.zoo.rows_clas_large import CLAS_LARGES
from toolkit.zoo.rows_clas_mobile import CLAS_MOBILES
from toolkit.zoo.rows_clas_resnet import CLAS_RESNETS
from toolkit.zoo.rows_clas_tokens import CLAS_TOKENS
from toolkit.zoo.rows_compact import COMPACTS
from toolkit.zoo.rows_large import LARGES
from toolkit.zoo.rows_mobilenet import MOBILENETS
from toolkit.zoo.rows_resnet import RESNETS
from toolkit.zoo.rows_vgg import VGGS
from toolkit.zoo.spec import NetworkSpec

_OF_PADDLE = (*COMPACTS, *LARGES, *MOBILENETS, *RESNETS, *VGGS)
_OF_CLAS = (*CLAS_LARGES, *CLAS_MOBILES, *CLAS_RESNETS, *CLAS_TOKENS)
_ROWS = (*_OF_PADDLE, *_OF_CLAS)
_TABLE: Mapping[str, NetworkSpec] = MappingProxyType({row.name: row for row in _ROWS})


def list_networks() -> list[str]:
    """Names of all networks, sorted. Includes those of PaddleClas (``clas/...``), installed or not."""
    return sorted(_TABLE)


def get_spec(name: str) -> NetworkSpec:
    """The row of a network.

    Raises:
        NetworkError: No network has this name.
    """
    if name not in _TABLE:
        own = ", ".join(sorted(row.name for row in _OF_PADDLE))
        known = f"known: {own}, and {len(_OF_CLAS)} of PaddleClas (clas/...); {command('models')} lists all"
        guess = did_you_mean(name, _TABLE, 3)
        raise NetworkError(f"unknown network {name!r}{f'; {guess}' if guess else ''}", hint=known)
    return _TABLE[name]
