"""Format ``list``: text files with a ``path label`` line an image, as PaddleClas uses them.

The label is a class number; for several labels an image ``0,1,0,1``, and for numbers to predict ``1.5`` or ``1.5,2``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from toolkit.config import DataConfig
from toolkit.data.formats.cells import PARSERS
from toolkit.data.formats.paths import part_files, read_lines, read_names, required_folder
from toolkit.data.images import FileImages
from toolkit.data.naming import listed
from toolkit.data.source import Source
from toolkit.errors import DataError
from toolkit.task import TaskName

__all__ = ["read_list", "read_vector_list"]

_TRAIN, _VAL = "train_list.txt", "val_list.txt"
Entry = TypeVar("Entry")
_EXAMPLES: Mapping[str, str] = {"multilabel": "0,1,0,1", "regression": "1.5 or 1.5,2"}


def read_list(config: DataConfig) -> Source:
    """Read ``train_list``, ``val_list`` and ``test_list``, and the class names of ``label_file``.

    The label is the last word of a line, a class number from 0; the path before it may hold spaces and may stand in
    quotes. Paths are relative to ``data.root``. A ``val_list`` that is not set and not there is drawn from training.

    Args:
        config: ``root`` and the four file names count.

    Returns:
        The pictures by part. Without a label file the class names are the numbers.

    Raises:
        DataError: A missing file, a malformed line, or a label out of range; file and line are named.
    """
    root = required_folder(config, "list")
    files = part_files(config, root, (_TRAIN,), _VAL)
    entries = {part: _entries(root, file) for part, file in files.items()}
    if config.label_file is None:
        highest = max((label for part in entries.values() for _, label, _ in part), default=-1)
        classes = tuple(str(number) for number in range(highest + 1))
    else:
        classes = read_names(root / config.label_file)
    for part, items in entries.items():
        wrong = [f"line {line}: {label}" for _, label, line in items if not 0 <= label < len(classes)]
        if wrong:
            raise DataError(
                f"{files[part]}: label(s) outside 0..{len(classes) - 1}: {listed(wrong)}",
                hint="labels count from 0; check data.label_file" if config.label_file else "labels count from 0",
            )
    return Source(
        classes,
        {part: FileImages([path for path, _, _ in e], [label for _, label, _ in e]) for part, e in entries.items()},
    )


def read_vector_list(config: DataConfig, task: TaskName) -> Source:
    """Read the same files for a multilabel or a regression task: numbers with commas between them end each line.

    Args:
        config: ``root`` and the four file names count.
        task: ``multilabel`` (``path<TAB>0,1,0,1``, as PaddleClas has it) or ``regression`` (``path 1.5`` or
            ``path 1.5,2``).

    Returns:
        The pictures by part. Without a label file the names are the numbers from 0, and ``target`` for a single target.

    Raises:
        DataError: A missing file or a malformed line, among them one with another number of numbers than the first;
            file and line are named.
    """
    root = required_folder(config, "list")
    files = part_files(config, root, (_TRAIN,), _VAL)
    entries = {part: _vectors(root, file, task) for part, file in files.items()}
    width = len(entries["train"][0][1])
    for part, rows in entries.items():
        for _, row, number in rows:
            if len(row) != width:
                raise DataError(
                    f"{files[part]}:{number}: {len(row)} number(s), but {files['train']} begins with {width}",
                    hint="every line needs a number for every label",
                )
    names = _names_of_columns(config, root, width, task)
    return Source(
        names,
        {
            part: FileImages([path for path, _, _ in e], np.array([row for _, row, _ in e], np.float32))
            for part, e in entries.items()
        },
    )


def _names_of_columns(config: DataConfig, root: Path, width: int, task: TaskName) -> tuple[str, ...]:
    if config.label_file is None:
        return ("target",) if (task, width) == ("regression", 1) else tuple(map(str, range(width)))
    names = read_names(root / config.label_file)
    if len(names) != width:
        raise DataError(
            f"{root / config.label_file} has {len(names)} name(s), but a line of the lists has {width} number(s)",
            hint="one name a line, for each number of a line",
        )
    return names


def _entries(root: Path, file: Path) -> list[tuple[Path, int, int]]:
    """Path, label and line number of each line."""
    entries = []
    for number, line in read_lines(file):
        words = line.rsplit(None, 1)
        try:
            path, label = words[0], int(words[1])
        except (IndexError, ValueError) as error:
            raise DataError(
                f"{file}:{number}: expected 'path label' with a whole number as label, got {line[:80]!r}",
                hint="one image a line, for instance 'images/cat 1.jpg 0'",
            ) from error
        entries.append((root / _unquoted(path), label, number))
    return _some(file, entries)


def _vectors(root: Path, file: Path, task: TaskName) -> list[tuple[Path, list[float], int]]:
    """Path, numbers and line number of each line."""
    entries = []
    for number, line in read_lines(file):
        words = line.rsplit("\t" if "\t" in line else None, 1)
        try:
            row = [PARSERS[task](cell) for cell in words[1].split(",")]
        except (IndexError, ValueError) as error:
            what = f": {error}" if len(words) > 1 else ""
            raise DataError(
                f"{file}:{number}: expected 'path {_EXAMPLES[task]}', got {line[:80]!r}{what}",
                hint=f"one image a line, for instance 'images/cat 1.jpg {_EXAMPLES[task].split()[-1]}'",
            ) from error
        entries.append((root / _unquoted(words[0].strip()), row, number))
    return _some(file, entries)


def _some(file: Path, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise DataError(f"{file} lists no images", hint="one image a line: path label")
    return entries


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'" else path
