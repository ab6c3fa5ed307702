"""Files that are complete or absent: written under a temporary name, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolkit.core.errors import ToolkitError


def _temporary(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some file systems cannot sync a folder
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(descriptor)


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        _sync(path)


@contextmanager
def atomic_file(path: Path, ready: Callable[[], None] | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; the file written there replaces ``path``, or is removed on error.

    Args:
        path: The final path. Its folder is created.
        ready: Called when the new file is complete, before it replaces the old one.

    Yields:
        The path to write to.

    Raises:
        ToolkitError: ``path`` is a device or a pipe, which is not replaced.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ToolkitError(f"cannot write {path}: not a regular file, so it is not replaced", hint="give another path")
    temporary = _temporary(path)
    try:
        yield temporary
        _sync(temporary)
        if ready is not None:
            ready()
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Like ``atomic_file``, for a folder: an existing folder stays until the new one is complete.

    Args:
        path: The final path.

    Yields:
        An empty folder to fill.
    """
    temporary, old = _temporary(path), _temporary(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        if path.exists():
            os.replace(path, old)
        try:
            os.replace(temporary, path)
        except OSError:
            if old.exists():
                os.replace(old, path)
            raise
        _sync_folder(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; floats keep full precision."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


@contextmanager
def clear_os_errors(what: str, place: str = "output_dir") -> Iterator[None]:
    """Turn a full disk or a missing permission into a one-line error.

    Args:
        what: What was being written, for the message.
        place: The setting that changes the location.

    Raises:
        ToolkitError: Raised instead of the ``OSError``.
    """
    hints = {
        errno.ENOSPC: f"the disk is full; free some space, or choose another {place}",
        errno.EDQUOT: f"the disk quota is used up; free some space, or choose another {place}",
        errno.EACCES: "permission denied; choose a folder that you may write to",
        errno.ENOTDIR: f"a file is in the way of a folder; choose another {place}",
        errno.EEXIST: f"a file is in the way of a folder; choose another {place}",
        errno.EISDIR: f"a folder is in the way of a file; choose another {place}",
        errno.ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
        errno.EROFS: f"the file system is read-only; choose another {place}",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in hints:
            raise
        raise ToolkitError(f"cannot write {what}: {error.strerror}", hint=hints[error.errno]) from error
