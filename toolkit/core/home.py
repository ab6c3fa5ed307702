"""A home folder for libraries that write to it, where the user has none, or none to write to."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ensure_home() -> None:
    """Where ``~`` means nothing, as for a numeric user of a container, let it be a folder among temporary files."""
    if os.path.expanduser("~") != "~":  # noqa: PTH111 (pathlib raises an error)
        return
    folder = Path(tempfile.gettempdir(), f"paddle-finetune-home-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():  # made by someone else
        folder = Path(tempfile.mkdtemp(prefix="paddle-finetune-home-"))
    os.environ["HOME"] = str(folder)


def home_is_writable() -> bool:
    """Whether the home folder can be written to, or created."""
    folder = Path.home()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


@contextmanager
def writable_home() -> Iterator[None]:
    """Within the context, libraries that write to the home folder find a temporary one if they cannot."""
    if home_is_writable():
        yield
        return
    before = os.environ.get("HOME")
    with tempfile.TemporaryDirectory(prefix="paddle-finetune-home-") as folder:
        os.environ["HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["HOME"]
            else:
                os.environ["HOME"] = before
