"""Rotate and mirror an image according to its EXIF orientation (Exif 3.0, tag 0x0112)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

UPRIGHT, ON_ITS_SIDE = 1, range(5, 9)
_Values: TypeAlias = npt.NDArray[Any]
_TURNS: Mapping[int, Callable[[_Values], _Values]] = MappingProxyType(
    {
        2: np.fliplr,
        3: lambda values: values[::-1, ::-1],
        4: np.flipud,
        5: lambda values: values.swapaxes(0, 1),
        6: lambda values: np.rot90(values, -1),
        7: lambda values: values[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90,
    }
)


def turned(values: _Values, orientation: int) -> _Values:
    """Return the image upright.

    Args:
        values: ``[H, W]`` or ``[H, W, C]`` as stored.
        orientation: EXIF orientation, 1 to 8; any other value means upright.

    Returns:
        A contiguous array; the image itself if nothing changes.
    """
    turn = _TURNS.get(orientation)
    return values if turn is None else np.ascontiguousarray(turn(values))
