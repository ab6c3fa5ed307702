"""Digests of files and arrays, to detect changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_BLOCK = 2**20


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(state: Mapping[str, Any]) -> dict[str, str]:
    """Digest of every array, which saves keeping a copy of the weights.

    Args:
        state: State-dict key -> Paddle tensor or numpy array.

    Returns:
        Key -> BLAKE2b digest (128 bits, hexadecimal) of dtype, shape and bytes.
    """
    return {key: _digest(value) for key, value in state.items()}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Keys whose arrays differ in any bit, or that only one side has.

    Args:
        before: A fingerprint.
        after: A later fingerprint of the same arrays.

    Returns:
        Sorted keys; empty if nothing changed.
    """
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _digest(value: Any) -> str:
    array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
    digest = hashlib.blake2b(f"{array.dtype.str}{array.shape}".encode(), digest_size=16)
    digest.update(array.tobytes())
    return digest.hexdigest()
