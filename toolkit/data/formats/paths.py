"""Finding and reading the text files of a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.config import DataConfig
from toolkit.data.naming import nearest
from toolkit.errors import DataError

__all__ = ["PART_NAMES", "part_files", "read_lines", "read_names", "read_text", "required_folder"]

PART_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What data sets call their parts, in lower case."""


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


def part_files(config: DataConfig, root: Path, train: Sequence[str], val: str) -> dict[str, Path]:
    """The file of each part, of those that a config names and those that are there by default.

    Args:
        config: ``train_list``, ``val_list`` and ``test_list`` count.
        root: What the files are relative to.
        train: Default names for training; the first that is there, else the first.
        val: Default name for validation, where it is there.

    Returns:
        ``train`` always, ``val`` and ``test`` where there are some. They may be missing.
    """
    there = [name for name in train if (root / name).is_file()]
    files = {"train": config.train_list or (there or train)[0], "val": config.val_list, "test": config.test_list}
    if config.val_list is None and (root / val).is_file():
        files["val"] = val
    return {part: root / file for part, file in files.items() if file is not None}


def read_text(path: Path) -> str:
    """A UTF-8 text file, with or without a byte order mark.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}", hint="check data.root") from error


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 text file that are not blank, with their numbers from 1.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    text = read_text(path)
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_names(file: Path) -> tuple[str, ...]:
    """Names by line, or by number where each line is ``number name`` and the numbers are 0..n-1.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    lines = [line for _, line in read_lines(file)]
    pairs = [line.split(None, 1) for line in lines]
    numbers = [int(pair[0]) if len(pair) == 2 and pair[0].isdecimal() else -1 for pair in pairs]
    if lines and sorted(numbers) == list(range(len(lines))):
        lines = [name for _, name in sorted(zip(numbers, (pair[1] for pair in pairs), strict=True))]
    return tuple(lines)
