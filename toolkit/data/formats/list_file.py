"""Format ``list``: text files with a ``path label`` line per image, as in PaddleClas.

The label is a class index; for several labels per image ``0,1,0,1``, and for regression targets ``1.5`` or ``1.5,2``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.data.formats.cells import PARSERS
from toolkit.data.formats.file_finder import Finder
from toolkit.data.formats.paths import read_lines, read_names, read_numbered_names, required_folder, split_files
from toolkit.data.images import FileImages
from toolkit.data.source import Source
from toolkit.tasks import TASKS, TaskName

_TRAIN, _VAL = "train_list.txt", "val_list.txt"
Entry = TypeVar("Entry")
_LINE = re.compile(r"(?P<path>.*\S)(?:\s+|\s*[,;])(?P<label>[+-]?\d+)", re.ASCII)
_SPACED = re.compile(r"(?P<path>.*[^\s,])\s+(?P<row>[-+.\deE]+\s*(?:,\s*[-+.\deE]+)+)", re.ASCII)


def read_list(config: DataConfig) -> Source:
    """Read ``train_list``, ``val_list`` and ``test_list``, and the class names of ``label_file``.

    The label is the last word of a line: a class index from 0 (or from 1 if the label file numbers its names from 1).
    The path before it may contain spaces, be quoted, and end with a comma. Paths are relative to ``data.root``.
    Without a ``val_list``, validation images are drawn from training.

    Args:
        config: ``root`` and the four file names are used.

    Returns:
        The images by split. Without a label file, the class names are the numbers.

    Raises:
        DataError: A file is missing, a line is malformed, or a label is out of range; the message names file and line.
    """
    root = required_folder(config, "list")
    files = split_files(config, root, (_TRAIN,), _VAL)
    entries = {split: _entries(file) for split, file in files.items()}
    classes: tuple[str, ...] = ()
    first = 0
    if config.label_file is not None:
        classes, first = read_numbered_names(root / config.label_file)
    first = _first_number(config, files["train"], entries, len(classes), first)
    if config.label_file is None:
        highest = max((label for split in entries.values() for _, label, _ in split), default=-1)
        classes = tuple(str(number) for number in range(highest + 1))
    for split, items in entries.items():
        wrong = [f"line {line}: {label}" for _, label, line in items if not first <= label < len(classes) + first]
        if wrong:
            raise DataError(
                f"{files[split]}: label(s) outside {first}..{len(classes) - 1 + first}: {listed(wrong)}",
                hint=f"labels count from {first}" + ("; check data.label_file" if config.label_file else ""),
            )
    paths = {split: _found(root, files[split], [name for name, _, _ in items]) for split, items in entries.items()}
    return Source(
        classes, {split: FileImages(paths[split], [label - first for _, label, _ in e]) for split, e in entries.items()}
    )


def _first_number(
    config: DataConfig,
    file: Path,
    entries: Mapping[str, Sequence[tuple[str, int, int]]],
    names: int,
    numbered_from: int,
) -> int:
    """Return the label of the first class: 0, or 1 if the label file numbers its names from 1.

    Raises:
        DataError: Labels count from 1 but names do not, or vice versa.
    """
    labels = {label for split in entries.values() for _, label, _ in split}
    if numbered_from and 0 in labels:
        raise DataError(
            f"{config.label_file} numbers its names from 1, but labels in {file} count from 0",
            hint="number the names from 0, or leave the numbers out",
        )
    shifted = min(labels) == 1 and (config.label_file is None or max(labels) == names)
    if not numbered_from and config.classes is None and shifted and len(labels) > 1:
        remedy = f"or keep them as names: data.classes: [{listed([str(label) for label in sorted(labels)], 10)}]"
        if config.label_file is not None:
            remedy = f"or number the names in {config.label_file} from 1 (`1 name`)"
        raise DataError(
            f"{file}: labels count from 1 ({min(labels)}..{max(labels)}), and no image has label 0",
            hint=f"labels count from 0: subtract 1 from each, {remedy}",
        )
    return numbered_from


def _found(root: Path, file: Path, names: Sequence[str]) -> list[Path]:
    """Return the files of images; refuse a list if none of them exists."""
    find = Finder(root)
    paths = [find(name) for name in names]
    find.say(file)
    find.refuse_none(file, names, list(map(str, paths)))
    return paths


def read_vector_list(config: DataConfig, task: TaskName) -> Source:
    """Read the same files for a multilabel or regression task: each line ends with comma-separated numbers.

    Args:
        config: ``root`` and the four file names are used.
        task: ``multilabel`` (``path<TAB>0,1,0,1``, as in PaddleClas) or ``regression`` (``path 1.5`` or
            ``path 1.5,2``).

    Returns:
        The images by split. Without a label file, names are numbers from 0, or ``target`` for a single target.

    Raises:
        DataError: A file is missing or a line is malformed, for example with fewer numbers than the first line; the
            message names file and line.
    """
    root = required_folder(config, "list")
    files = split_files(config, root, (_TRAIN,), _VAL)
    entries = {split: _vectors(file, task) for split, file in files.items()}
    width = len(entries["train"][0][1])
    for split, rows in entries.items():
        for _, row, line in rows:
            if len(row) != width:
                raise DataError(
                    f"{files[split]}:{line}: {len(row)} number(s), but {files['train']} begins with {width}",
                    hint="every line needs a number for every label",
                )
    names = _names_of_columns(config, root, width, task)
    paths = {split: _found(root, files[split], [name for name, _, _ in rows]) for split, rows in entries.items()}
    return Source(
        names,
        {
            split: FileImages(paths[split], np.array([row for _, row, _ in e], np.float32))
            for split, e in entries.items()
        },
    )


def _names_of_columns(config: DataConfig, root: Path, width: int, task: TaskName) -> tuple[str, ...]:
    if config.label_file is None:
        return TASKS[task].default_names(width)
    names = read_names(root / config.label_file)
    if len(names) != width:
        raise DataError(
            f"{root / config.label_file} has {len(names)} name(s), but a line of the lists has {width} number(s)",
            hint="give one name per line for each number in a line",
        )
    return names


def _entries(file: Path) -> list[tuple[str, int, int]]:
    """Return name, label and line number for each line; a comma may separate name and label."""
    entries = []
    for number, line in read_lines(file):
        match = _LINE.fullmatch(line)
        if match is None:
            hint = "one image per line, for example 'images/cat 1.jpg 0'"
            if len(line.split()) > 1 or "," in line:
                hint += "; for class names as labels use data.format: csv"
            raise DataError(
                f"{file}:{number}: expected 'path label' with a whole number as label, got {line[:80]!r}", hint=hint
            )
        entries.append((_unquoted(match["path"]), int(match["label"]), number))
    return _some(file, entries)


def _vectors(file: Path, task: TaskName) -> list[tuple[str, list[float], int]]:
    """Return name, numbers and line number for each line."""
    entries = []
    for number, line in read_lines(file):
        words = line.rsplit("\t" if "\t" in line else None, 1)
        spaced = _SPACED.fullmatch(line)  # numbers with blanks between them
        if spaced is not None:
            words = [spaced["path"], spaced["row"]]
        try:
            row = [PARSERS[TASKS[task].outputs](cell) for cell in words[1].split(",")]
        except (IndexError, ValueError) as error:
            what = f": {error}" if len(words) > 1 else ""
            raise DataError(
                f"{file}:{number}: expected 'path {TASKS[task].row_example}', got {line[:80]!r}{what}",
                hint=f"one image per line, for example 'images/cat 1.jpg {TASKS[task].row_example.split()[-1]}'",
            ) from error
        entries.append((_unquoted(words[0].strip()), row, number))
    return _some(file, entries)


def _some(file: Path, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise DataError(f"{file} lists no images", hint="one image per line: path label")
    return entries


def _unquoted(path: str) -> str:
    return path[1:-1] if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'" else path
