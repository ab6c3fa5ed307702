"""All rows of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from toolkit.errors import NetworkError
from toolkit.zoo.lookup import nearest
from toolkit.zoo.rows_compact import COMPACTS
from toolkit.zoo.rows_large import LARGES
from toolkit.zoo.rows_mobilenet import MOBILENETS
from toolkit.zoo.rows_resnet import RESNETS
from toolkit.zoo.rows_vgg import VGGS
from toolkit.zoo.spec import NetworkSpec

__all__ = ["get_spec", "list_networks"]

_ROWS = (*COMPACTS, *LARGES, *MOBILENETS, *RESNETS, *VGGS)
_TABLE: Mapping[str, NetworkSpec] = MappingProxyType({row.name: row for row in _ROWS})


def list_networks() -> list[str]:
    """Names of all networks, sorted."""
    return sorted(_TABLE)


def get_spec(name: str) -> NetworkSpec:
    """The row of a network.

    Raises:
        NetworkError: There is no network of this name.
    """
    if name not in _TABLE:
        known = f"known: {', '.join(list_networks())}"
        raise NetworkError(f"unknown network {name!r}{nearest(name, _TABLE)}", hint=known)
    return _TABLE[name]
