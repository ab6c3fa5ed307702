"""Format ``csv``: a table with a header and one line per image, for every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from toolkit.config import DataConfig
from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.data.formats.cells import read_weight
from toolkit.data.formats.csv_columns import Columns, find_columns, split_of
from toolkit.data.formats.csv_labels import Record, read_labels
from toolkit.data.formats.csv_table import Row, Table, read_table
from toolkit.data.formats.file_finder import Finder
from toolkit.data.formats.paths import required_folder, split_files
from toolkit.data.images import FileImages, Labels
from toolkit.data.source import Source
from toolkit.tasks import TaskName

_TRAIN, _VAL = ("train.csv", "labels.csv"), "val.csv"


def read_csv(config: DataConfig, task: TaskName) -> Source:
    """Read ``train.csv`` (or ``labels.csv``), and ``val_list`` and ``test_list`` or the splits named in ``split``.

    Image paths are relative to ``data.root``. A name without a known extension gets one (``.jpg``, ``.jpeg``, ``.png``,
    ...) for which a file exists. A repeated line counts once, with a warning.

    - classification: one column of class names, in natural order (2 before 10) or in the order of ``label_file``; with
      a label file, cells may also hold class indices.
    - multilabel: several columns of 0 and 1; or one column of names separated by ``label_separator``, where an empty
      cell means no label.
    - regression: columns of numbers.

    With ``weight_column``, each training image has a weight >= 0; other splits need no such column and ignore it.

    Args:
        config: ``root``, the lists, ``label_file`` and the column options are used.
        task: What the labels are.

    Returns:
        The images by split.

    Raises:
        DataError: A file or column is missing, a line is malformed, a class is unknown, or an image has two different
            labels; the message names file and line.
    """
    root = required_folder(config, "csv")
    find = Finder(root, guess_extension=True)
    tables: dict[str, Table] = {}
    for split, file in split_files(config, root, _TRAIN, _VAL).items():
        tables[split] = _table(root, file, find, tables.get("train"))
    columns = find_columns(config, tables["train"], task, find)
    records: dict[str, list[Record]] = {}
    for split, table in tables.items():
        table.require([columns.image], "the images")
        table.require(columns.labels, "data.label_columns")
        for row in table.rows:
            own = columns.split if split == "train" else None
            where = split_of(table, row, own) if own is not None else split
            records.setdefault(where, []).append(_record(table, row, columns, weighted=where == "train"))
        if split != "train" and records[split][0].file != table.file:
            raise DataError(
                f"{table.file} exists, but {tables['train'].file} also has {split} images (column {columns.split!r})",
                hint="keep one of them",
            )
    _say_that_weights_are_for_training(tables, columns, records)
    if "train" not in records:
        raise DataError(f"{tables['train'].file} has no train images in its column {columns.split!r}")
    classes, labels = read_labels(config, root, task, columns.labels, records)
    splits = {split: _images(records[split], labels[split], find) for split in sorted(records, key=_position)}
    for split, images in splits.items():
        find.refuse_none(records[split][0].file, [record.image for record in records[split]], images.files)
    return Source(classes, splits)


def read_one_split(config: DataConfig, file: Path, task: TaskName) -> Source:
    """Read one table that needs no training images: all of it, or what its split column calls test or val.

    Args:
        config: ``root``, ``label_file`` and the column options are used.
        file: The table.
        task: What the labels are.

    Returns:
        The images, as the only split.

    Raises:
        DataError: As for ``read_csv``.
    """
    root = required_folder(config, "csv")
    find = Finder(root, guess_extension=True)
    table = read_table(file, find)
    columns = find_columns(config, table, task, find)
    table.require([columns.image], "the images")
    rows = table.rows
    if columns.split is not None:
        splits = [split_of(table, row, columns.split) for row in rows]
        split = next((name for name in ("test", "val") if name in splits), "train")
        rows = tuple(row for row, own in zip(rows, splits, strict=True) if own == split)
        if len(rows) < len(splits):
            console.info(f"{file}: the {len(rows)} {split} images of {len(splits)} are read (column {columns.split!r})")
    records = {"train": [_record(table, row, columns, weighted=False) for row in rows]}
    classes, labels = read_labels(config, root, task, columns.labels, records)
    images = _images(records["train"], labels["train"], find)
    find.refuse_none(file, [record.image for record in records["train"]], images.files)
    return Source(classes, {"train": images})


def _position(split: str) -> int:
    return ("train", "val", "test").index(split)


def _table(root: Path, file: Path, find: Finder, like: Table | None) -> Table:
    if not file.is_file() and file.name in _TRAIN:
        there = sorted(path.name for path in root.glob("*.csv"))
        hint = f"set data.train_list; there is {listed(there)}" if there else "set data.train_list"
        raise DataError(f"{root} has no {' or '.join(_TRAIN)}", hint=hint)
    return read_table(file, find, like)


def _record(table: Table, row: Row, columns: Columns, *, weighted: bool) -> Record:
    if not row.cells[columns.image]:
        raise DataError(f"{table.file}:{row.line}: column {columns.image!r} is empty", hint="it names the image")
    cells = tuple(row.cells[name] for name in columns.labels)
    weight = _weight(table, row, columns.weight) if weighted and columns.weight is not None else None
    return Record(table.file, row.line, row.cells[columns.image], cells, weight)


def _say_that_weights_are_for_training(
    tables: Mapping[str, Table], columns: Columns, records: Mapping[str, Sequence[Record]]
) -> None:
    """Mention weights of 0 in validation and test, where a user might expect them to exclude images."""
    if columns.weight is None:
        return
    measured = {(record.file, record.line) for split in records.keys() - {"train"} for record in records[split]}
    zero = sum(
        _is_zero(row.cells.get(columns.weight, ""))
        for table in tables.values()
        for row in table.rows
        if (table.file, row.line) in measured
    )
    if zero:
        console.info(f"{zero} val or test image(s) of weight 0 count like all others there: weights are for training")


def _is_zero(cell: str) -> bool:
    try:
        return read_weight(cell) == 0
    except ValueError:
        return False


def _weight(table: Table, row: Row, column: str) -> float:
    try:
        return read_weight(row.cells[column])
    except ValueError as error:
        raise DataError(
            f"{table.file}:{row.line}: column {column!r}: {error}",
            hint="a weight (data.weight_column) is a number >= 0; 0 leaves the image out",
        ) from error


def _images(records: Sequence[Record], labels: Labels, find: Finder) -> FileImages:
    """Return the images of one split, each once."""
    first: dict[Path, tuple[int, Record]] = {}
    again: list[str] = []
    for row, record in enumerate(records):
        path = find(record.image)
        if path not in first:
            first[path] = (row, record)
            continue
        other_row, other = first[path]
        if (labels[row] != labels[other_row]).any() or record.weight != other.weight:
            what = "weight" if record.weight != other.weight else "label"
            raise DataError(
                f"{record.where}: {record.image} is in line {other.line} already, with another {what}",
                hint="keep one line for each image; several labels go into one cell, or into columns of 0 and 1",
            )
        again.append(f"{record.image} (line {record.line})")
    find.say(records[0].file)
    if again:
        console.warn(f"{len(again)} line(s) repeat an image and are left out: {listed(again)}")
    images = FileImages(list(first), labels[[row for row, _ in first.values()]])
    weights = [record.weight for _, record in first.values() if record.weight is not None]
    return images.with_weights(weights) if weights else images
