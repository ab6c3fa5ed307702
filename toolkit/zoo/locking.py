"""A lock between processes that vanishes with its process."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.console import info

__all__ = ["locked"]

_PAUSE = 0.2  # seconds


def _try_lock(descriptor: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


@contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold a lock file while others wait; the system frees it when the process ends in any way.

    Args:
        path: The lock file; its folder must be there.
        message: What to tell, once, when another process holds the lock.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _try_lock(descriptor):
            info(message)
            while not _try_lock(descriptor):
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(descriptor)
