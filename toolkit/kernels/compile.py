"""Compile kernels to machine code with numba, and cache them for later processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},  # NaN and infinity are preserved
}


def compiled(signature: str, function: Callable[..., None]) -> Any:
    """Compile a function, or load the code that an earlier process compiled on this machine.

    Args:
        signature: Signature in numba's notation.
        function: A function that numba can compile.
    """
    try:
        return njit(signature, cache=True, **OPTIONS)(function)
    except Exception:  # no writable folder, a full disk or a damaged file must not end a training
        return njit(signature, **OPTIONS)(function)
