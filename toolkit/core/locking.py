"""Locks between processes, released when their process ends: kernel locks on small files."""

from __future__ import annotations

import errno
import os
import random
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolkit.core.console import info

_PAUSE = 0.2  # seconds
_READERS = 1024
"""Windows: a shared lock takes one of these bytes, an exclusive lock takes all of them."""
_NO_LOCKS = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})
"""Errors from file systems without locks; there every request succeeds."""


class FileLock:
    """A lock held until ``release`` is called, or until this object or its process is gone.

    Args:
        descriptor: The locked file; this object takes ownership.
        shared: Other processes may hold the lock shared as well.
    """

    def __init__(self, descriptor: int, shared: bool) -> None:
        self._release = weakref.finalize(self, _release, descriptor, shared, os.getpid())

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        self._release()


def _release(descriptor: int, shared: bool, owner: int) -> None:
    if os.name != "nt" and not shared and os.getpid() == owner:  # forked children hold the descriptor too
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _take(descriptor: int, shared: bool) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(descriptor, random.randrange(_READERS) if shared else 0, os.SEEK_SET)
            size = 1 if shared else _READERS
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, size)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        try:
            return os.open(path, os.O_RDONLY)  # another user's file or a read-only disk: locking works anyway
        except FileNotFoundError:
            raise error from None


def _still_there(descriptor: int, path: Path) -> bool:
    """Whether the locked file still has this path: the previous holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def try_lock(path: Path, *, shared: bool = False) -> FileLock | None:
    """Take a lock if it is free, without waiting.

    Args:
        path: The lock file; its folder must exist. An exclusive holder may remove the file.
        shared: Allow other shared holders; otherwise the lock is exclusive.

    Returns:
        The lock, or None if another process, or another part of this one, holds it.

    Raises:
        OSError: The file cannot be opened.
    """
    while True:
        descriptor = _open(path)
        if not _take(descriptor, shared):
            os.close(descriptor)
            return None
        if _still_there(descriptor, path):
            return FileLock(descriptor, shared)
        os.close(descriptor)


def lock(
    path: Path, message: str, *, shared: bool = False, while_waiting: Callable[[], None] = lambda: None
) -> FileLock:
    """Take a lock, waiting until it is free.

    Args:
        path: The lock file; its folder must exist.
        message: Printed once if another process holds the lock.
        shared: As in ``try_lock``.
        while_waiting: Called repeatedly; an exception from it ends the wait.

    Raises:
        OSError: The file cannot be opened.
    """
    held = try_lock(path, shared=shared)
    if held is None:
        info(message)
    while held is None:
        while_waiting()
        time.sleep(_PAUSE)
        held = try_lock(path, shared=shared)
    return held


@contextmanager
def locked(path: Path, message: str) -> Iterator[None]:
    """Hold a lock within the context; the system releases it however the process ends.

    Args:
        path: The lock file; its folder must exist.
        message: Printed once if another process holds the lock.
    """
    held = lock(path, message)
    try:
        yield
    finally:
        held.release()
