"""Find and read the text files of a data set."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.config import DataConfig
from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed, nearest

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Names of splits in data sets, in lower case."""


_NUMBER_FIRST = re.compile(r"(?P<number>\d+)(?P<mark>\s*[,;:=]\s*|[.)]\s+|\s+)(?P<name>\S.*)", re.ASCII)
_NUMBER_LAST = re.compile(r"(?P<name>.*\S)(?P<mark>\s*[,;:=]\s*|\s+)(?P<number>\d+)", re.ASCII)
_HEADER = frozenset(
    {"id", "index", "number", "name", "label", "class", "class_id", "class_name", "label_id", "label_name"}
)


def required_folder(config: DataConfig, name: str) -> Path:
    """Return ``data.root`` as an existing folder.

    Raises:
        DataError: It is not set, or not a readable folder.
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


def split_files(config: DataConfig, root: Path, train: Sequence[str], val: str) -> dict[str, Path]:
    """Return the file of each split: those named in a config, and those that exist under a default name.

    Args:
        config: ``train_list``, ``val_list`` and ``test_list`` are used.
        root: Folder to which the files are relative.
        train: Default names for training; the first that exists is used, else the first.
        val: Default name for validation, used if it exists.

    Returns:
        ``train`` always, ``val`` and ``test`` if there are any. The files may be missing.
    """
    existing = [name for name in train if (root / name).is_file()]
    files = {"train": config.train_list or (existing or train)[0], "val": config.val_list, "test": config.test_list}
    if config.val_list is None and (root / val).is_file():
        files["val"] = val
    return {split: root / file for split, file in files.items() if file is not None}


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

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
    """Return the lines of a UTF-8 text file that are not blank, with line numbers from 1.

    Raises:
        DataError: The file is missing or not UTF-8.
    """
    text = read_text(path)
    return [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]


def read_names(file: Path) -> tuple[str, ...]:
    """Return the names of ``read_numbered_names``, without the first number."""
    return read_numbered_names(file)[0]


def read_numbered_names(file: Path) -> tuple[tuple[str, ...], int]:
    """Read names, one per line, or ordered by number if each line has a number and a name, in either order.

    Numbers count from 0 or from 1. ``0 ant``, ``0,ant``, ``0: ant`` and ``ant 0`` are accepted; a header is skipped;
    anything but ``0 ant`` from 0 is reported.

    Returns:
        The names in the order of their numbers, and the first number, or 0 if there are no numbers.

    Raises:
        DataError: The file is missing, not UTF-8, not a list of names, or has gaps in its numbers.
    """
    if file.suffix.lower() in (".json", ".yaml", ".yml"):
        raise DataError(f"{file} is not a list of names", hint="write a text file with one name per line, in order")
    lines = [line for _, line in read_lines(file)]
    if lines and (lines[0][0] in "{[" or lines[-1][-1] in "}]"):
        raise DataError(f"{file} is not a list of names: {lines[0][:40]!r}", hint="write one name per line, in order")
    bare = lines[1:] if len(lines) > 1 and set(re.split(r"[\s,;:]+", lines[0].lower())) <= _HEADER else lines
    for which, pattern in (("number and name", _NUMBER_FIRST), ("name and number", _NUMBER_LAST)):
        pairs = [match for match in map(pattern.fullmatch, bare) if match]
        names = {int(match["number"]): match["name"].strip().strip("\"'") for match in pairs}
        first = min(names, default=-1)
        distinct = len(set(names.values())) == len(pairs) == len(bare)
        if distinct and first in (0, 1) and sorted(names) == list(range(first, first + len(bare))):
            if first or bare is not lines or pattern is _NUMBER_LAST or any(match["mark"].strip() for match in pairs):
                shown = listed([f"{number} = {names[number]}" for number in sorted(names)], 3)
                console.info(f"{file}: each line is read as {which}: {shown}")
            return tuple(names[number] for number in sorted(names)), first
        if pairs and len(pairs) == len(bare) and all(match["mark"].strip() for match in pairs):
            raise DataError(
                f"{file}: lines such as {bare[0][:40]!r} contain numbers, but not 0, 1, 2, ...",
                hint="number the names from 0 without gaps or repeats, or leave the numbers out",
            )
    if lines and all(len(line) > 2 and line[0] == line[-1] and line[0] in "\"'" for line in lines):
        lines = [line[1:-1] for line in lines]
    return tuple(lines), 0
