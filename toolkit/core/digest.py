"""Digests of arrays, and which arrays changed between two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np


def fingerprint(state: Mapping[str, Any]) -> dict[str, str]:
    """Digest of every array, so that a copy of the weights need not be kept.

    Args:
        state: State-dict key -> Paddle tensor or numpy array.

    Returns:
        Key -> BLAKE2b digest (128 bits, hexadecimal) of type, shape and bytes.
    """
    return {key: _digest(value) for key, value in state.items()}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Keys whose array is not the same to the bit, or that only one side has.

    Args:
        before: A fingerprint.
        after: A later one of the same arrays.

    Returns:
        Sorted keys; empty when nothing moved.
    """
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _digest(value: Any) -> str:
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(array.tobytes())
    return digest.hexdigest()
