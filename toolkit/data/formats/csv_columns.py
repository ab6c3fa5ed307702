"""Roles of the columns of a table: images, labels, splits and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.config import DataConfig
from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed, nearest
from toolkit.data.decode import IMAGE_EXTENSIONS
from toolkit.data.formats.cells import read_flag
from toolkit.data.formats.csv_table import Row, Table
from toolkit.data.formats.file_finder import Finder
from toolkit.data.formats.paths import SPLIT_NAMES
from toolkit.tasks import TASKS, TaskName

_IMAGE_COLUMNS = ("path", "image", "file", "filename", "image_path", "image_name", "image_id", "img", "file_name")
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target", "species", "tags")
_NUMBER_COLUMNS = ("index", "idx", "level_0", "row")
_ID_COLUMNS = ("id", "no", "nr", "#")
_DEFAULT_SPLIT = "split"
_SPLIT_FLAG = re.compile(r"(is_?)?(train|training|val|valid|validation|test|testing)", re.IGNORECASE)
_SAMPLE = 20


@dataclass(frozen=True)
class Columns:
    """Roles of the columns of a table.

    Attributes:
        image: Names of the images.
        labels: Labels or targets.
        split: The split of each image; None if the table has none.
        weight: The weight of each image; None if the table has none.
    """

    image: str
    labels: tuple[str, ...]
    split: str | None
    weight: str | None


def find_columns(config: DataConfig, table: Table, task: TaskName, find: Finder) -> Columns:
    """Find the columns named in a config, and recognise the others.

    Args:
        config: Its column options are used.
        table: The training table.
        task: What the labels are.
        find: Finds the images.

    Raises:
        DataError: A column is missing or ambiguous; the message names the option to set.
    """
    chosen = [name for name in (config.image_column, config.weight_column, *(config.label_columns or ())) if name]
    left_out = [name for name in _row_numbers(table, task) if name not in (*chosen, config.split_column)]
    image = config.image_column or _image_column(table, [name for name in table.columns if name not in left_out], find)
    table.require([image], "data.image_column")
    split = _split_column(config, table, [image, *chosen, *left_out])
    weight = config.weight_column
    if weight is not None:
        table.require([weight], "data.weight_column")
        if weight in (image, split):
            raise DataError(f"data.weight_column {weight!r} holds no weights", hint="name another column")
    others = tuple(name for name in table.columns if name not in (image, split, weight))
    if left_out and config.label_columns is None and set(others) - set(left_out):
        console.info(f"{table.file}: column {listed(list(map(repr, left_out)))} numbers the rows, and is left out")
        others = tuple(name for name in others if name not in left_out)
    labels = config.label_columns or others
    table.require(labels, "data.label_columns")
    if {image, split, weight} & set(labels) or len(set(labels)) < len(labels):
        taken = " and ".join(repr(name) for name in (image, weight) if name is not None)
        raise DataError(
            f"data.label_columns {listed(labels)}: each must be another column than {taken}, and be named once",
            hint=f"columns of {table.file.name}: {listed(table.columns, 10)}",
        )
    _refuse_wrong_number(table, image, labels, task)
    return Columns(image, labels, split, weight)


def _refuse_wrong_number(table: Table, image: str, labels: Sequence[str], task: TaskName) -> None:
    if not labels:
        raise DataError(f"{table.file} has no label column besides {image!r}", hint="add one")
    if TASKS[task].one_class_per_image and len(labels) > 1:
        likely = next((name for name in labels if name.lower() in _LABEL_COLUMNS), labels[0])
        raise DataError(
            f"{table.file}: a {task} needs one column of class names, but there are {listed(labels)}",
            hint=f"say which one: data.label_columns: [{likely}], or set task: multilabel or regression",
        )


def _row_numbers(table: Table, task: TaskName) -> list[str]:
    """Return the columns that number the rows from 0 or 1, judging by content and name."""
    count, found = len(table.rows), []
    names = (*_NUMBER_COLUMNS, *(_ID_COLUMNS if TASKS[task].one_class_per_image else ()))
    for position, name in enumerate(table.columns):
        if name.lower() in names or (name == "column 1" and position == 0):
            cells = [row.cells[name] for row in table.rows]
            if count > 1 and any(cells == [str(number + first) for number in range(count)] for first in (0, 1)):
                found.append(name)
    return found


def _image_column(table: Table, columns: Sequence[str], find: Finder) -> str:
    """Return the column whose cells name images; columns with a known name come first."""
    by_name = {name.lower(): name for name in reversed(columns)}
    known = [by_name[name] for name in _IMAGE_COLUMNS if name in by_name]
    looks = _holding_images(table, known, find) or _holding_images(table, columns, find)
    if not looks and not known and len(columns) > 1:
        cells = [f"{name!r} ({table.rows[0].cells[name][:40]!r})" for name in columns]
        raise DataError(
            f"{table.file}: no column names images below {find.root}: {listed(cells)}",
            hint="check data.root, and say which column it is: data.image_column",
        )
    if not looks:
        return (*known, *columns, *table.columns)[0]
    if looks[0] in known:
        return looks[0]
    if len(looks) > 1:
        distinct = {name: len({row.cells[name] for row in table.rows}) for name in looks}
        looks = [name for name in looks if distinct[name] == max(distinct.values())]
    if len(looks) > 1:
        raise DataError(
            f"{table.file}: columns {listed(list(map(repr, looks)))} all name images",
            hint=f"say which one: data.image_column: {looks[0]}",
        )
    if known or looks[0] != table.columns[0]:
        console.info(f"{table.file}: the images are those of column {looks[0]!r} (data.image_column)")
    return looks[0]


def _holding_images(table: Table, columns: Sequence[str], find: Finder) -> list[str]:
    """Return columns at least half of whose first cells are files or, failing that, have an image extension."""
    existing, named = [], []
    for name in columns:
        cells = {row.cells[name] for row in table.rows[:_SAMPLE] if row.cells[name]}
        if cells and 2 * sum(find(cell).is_file() for cell in cells) >= len(cells):
            existing.append(name)
        if cells and 2 * sum(Path(cell).suffix.lower() in IMAGE_EXTENSIONS for cell in cells) >= len(cells):
            named.append(name)
    return existing or named


def _split_column(config: DataConfig, table: Table, taken: Sequence[str]) -> str | None:
    """Return the configured column, or the only one that holds train, val or test or is a flag such as `is_valid`."""
    if config.split_column != _DEFAULT_SPLIT:
        table.require([config.split_column], "data.split_column")
        return config.split_column
    if _DEFAULT_SPLIT in table.columns:
        return _DEFAULT_SPLIT
    free = [name for name in table.columns if name not in taken]
    found = [name for name in free if _names_splits(table, name)]
    if not found or len(free) == 1:
        return None
    if len(found) > 1:
        raise DataError(
            f"{table.file}: columns {listed(list(map(repr, found)))} all look like the split of an image",
            hint=f"say which one: data.split_column: {found[0]}",
        )
    if config.label_columns is not None:
        console.info(f"{table.file}: column {found[0]!r} is not used; if it is the split, set data.split_column to it")
        return None
    console.info(f"{table.file}: column {found[0]!r} is taken as the split of each image (data.split_column)")
    return found[0]


def _names_splits(table: Table, name: str) -> bool:
    cells = {row.cells[name].lower() for row in table.rows}
    if cells <= SPLIT_NAMES.keys():
        return "train" in {SPLIT_NAMES[cell] for cell in cells}
    return name.lower().startswith("is_") and bool(_SPLIT_FLAG.fullmatch(name)) and all(map(_is_flag, cells))


def _flag(text: str) -> bool | None:
    """Parse True or False, also written as yes and no; None for anything else."""
    if text.lower() in ("yes", "no"):
        return text.lower() == "yes"
    try:
        return bool(read_flag(text))
    except ValueError:
        return None


def _is_flag(text: str) -> bool:
    return _flag(text) is not None


def split_of(table: Table, row: Row, column: str) -> str:
    """Return the split of an image: by name or, in a column such as ``is_valid``, by True (that split) and False.

    Raises:
        DataError: The cell names no split.
    """
    text = row.cells[column]
    split = SPLIT_NAMES.get(text.lower())
    flag = _SPLIT_FLAG.fullmatch(column)
    if split is None and flag and _is_flag(text):
        own = SPLIT_NAMES[flag[2].lower()]
        split = own if _flag(text) else _OTHER[own]
    if split is None:
        hint = nearest(text.lower(), tuple(SPLIT_NAMES))
        if _is_flag(text):
            hint = "write train, val or test; or call the column is_valid, is_test or is_train"
        raise DataError(
            f"{table.file}:{row.line}: column {column!r}: {text[:40]!r} is not train, val or test", hint=hint
        )
    return split


_OTHER: Mapping[str, str] = {"train": "val", "val": "train", "test": "train"}
"""The split of an image whose flag for a split is False."""
