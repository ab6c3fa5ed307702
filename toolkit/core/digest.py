"""Digests: of files, and of arrays, to see which of them changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 2**20


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


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
