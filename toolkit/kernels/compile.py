"""Machine code by numba: how kernels are compiled, and kept for later processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "reassoc"},  # NaN and infinity stay what they are
}


def compiled(signature: str, function: Callable[..., None]) -> Any:
    """Compile a function, or take what an earlier process has compiled on this machine.

    Args:
        signature: In numba's spelling.
        function: Uses what numba knows.
    """
    try:
        return njit(signature, cache=True, **OPTIONS)(function)
    except Exception:  # no folder that numba could write to, a full disk, a damaged file: none of them ends a training
        return njit(signature, **OPTIONS)(function)
