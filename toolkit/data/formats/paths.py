"""Finding and reading the text files of a data set."""

from __future__ import annotations

import os
from pathlib import Path

from toolkit.config import DataConfig
from toolkit.data.naming import nearest
from toolkit.errors import DataError

__all__ = ["read_lines", "required_folder"]


def required_folder(config: DataConfig, name: str) -> Path:
    """``data.root`` as an existing folder.

    Raises:
        DataError: It is not set, or no folder.
    """
    if config.root is None:
        raise DataError(f"data.root is not set, and data.format {name} needs it", hint="set data.root to the folder")
    root = config.root.expanduser()
    if root.is_dir():
        if not os.access(root, os.R_OK | os.X_OK):
            raise DataError(f"data.root {root} may not be read", hint="check the folder's permissions")
        return root
    if root.is_file():
        raise DataError(f"data.root {root} is a file, expected a folder", hint="unpack it, and name the folder")
    siblings = [entry.name for entry in root.parent.iterdir() if entry.is_dir()] if root.parent.is_dir() else []
    hint = nearest(root.name, sorted(siblings)) if siblings else "check data.root"
    raise DataError(f"data.root {root} does not exist", hint=hint)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, with their numbers from 1.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint="check data.root") from error
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
