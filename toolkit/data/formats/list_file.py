"""Format ``list``: text files with a ``path label`` line an image, as PaddleClas uses them."""

from __future__ import annotations

from pathlib import Path

from toolkit.config import DataConfig
from toolkit.data.formats.paths import read_lines, required_folder
from toolkit.data.images import FileImages
from toolkit.data.naming import listed
from toolkit.data.source import Source
from toolkit.errors import DataError

__all__ = ["read_list"]

_TRAIN, _VAL = "train_list.txt", "val_list.txt"


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
    files = {"train": config.train_list or _TRAIN, "val": config.val_list, "test": config.test_list}
    if config.val_list is None and (root / _VAL).is_file():
        files["val"] = _VAL
    entries = {part: _entries(root, root / file) for part, file in files.items() if file is not None}
    if config.label_file is None:
        highest = max((label for part in entries.values() for _, label, _ in part), default=-1)
        classes = tuple(str(number) for number in range(highest + 1))
    else:
        classes = _class_names(root / config.label_file)
    for part, items in entries.items():
        wrong = [f"line {line}: {label}" for _, label, line in items if not 0 <= label < len(classes)]
        if wrong:
            raise DataError(
                f"{root / str(files[part])}: label(s) outside 0..{len(classes) - 1}: {listed(wrong)}",
                hint="labels count from 0; check data.label_file" if config.label_file else "labels count from 0",
            )
    return Source(
        classes,
        {part: FileImages([path for path, _, _ in e], [label for _, label, _ in e]) for part, e in entries.items()},
    )


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
        if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
            path = path[1:-1]
        entries.append((root / path, label, number))
    if not entries:
        raise DataError(f"{file} lists no images", hint="one image a line: path label")
    return entries


def _class_names(file: Path) -> tuple[str, ...]:
    """Names by line, or by number where each line is ``number name`` and the numbers are 0..n-1."""
    lines = [line for _, line in read_lines(file)]
    pairs = [line.split(None, 1) for line in lines]
    numbers = [int(pair[0]) if len(pair) == 2 and pair[0].isdecimal() else -1 for pair in pairs]
    if lines and sorted(numbers) == list(range(len(lines))):
        lines = [name for _, name in sorted(zip(numbers, (pair[1] for pair in pairs), strict=True))]
    return tuple(lines)
