"""Labels given in Python, as the cells of a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.tasks import TaskName

if TYPE_CHECKING:
    import pandas

SPLITS = ("train", "val", "test")
_SEPARATOR = "|"


def plain(label: Any) -> Any:
    """Return a label as a plain value: tensors and arrays of one element become numbers."""
    array = label.numpy() if hasattr(label, "numpy") else label
    if isinstance(array, np.ndarray):
        return array.item() if array.size == 1 else array.tolist()
    return array.item() if isinstance(array, np.generic) else array


def named_labels(labels: Sequence[Any] | NDArray[Any], classes: Sequence[str] | None) -> list[Any]:
    """Return labels as plain values: the names that they are indices of, if ``classes`` are given.

    Raises:
        DataError: A label is not an index of ``classes``.
    """
    values = [plain(label) for label in labels]
    if classes is None:
        return values
    wrong = [label for label in values if not isinstance(label, int) or not 0 <= label < len(classes)]
    if wrong:
        raise DataError(f"label {wrong[0]!r} is not an index of the {len(classes)} classes")
    return [classes[label] for label in values]


def frame_labels(frame: pandas.DataFrame, columns: Sequence[str], task: TaskName) -> list[Any]:
    """Return the labels in the columns of a frame, as ``Data.from_lists`` takes them.

    Raises:
        DataError: Several columns do not suit the task, or hold other values than 0 and 1.
    """
    return [plain(value) for value in frame[columns[0]]] if len(columns) == 1 else _OF_COLUMNS[task](frame, columns)


def _no_columns(frame: pandas.DataFrame, columns: Sequence[str]) -> list[Any]:
    raise DataError(f"{len(columns)} label columns were given; classification takes one", hint=_OTHER_TASKS)


def _set_columns(frame: pandas.DataFrame, columns: Sequence[str]) -> list[Any]:
    rows = frame[list(columns)].to_numpy()
    if not np.isin(rows, (0, 1)).all():
        raise DataError(f"columns {listed(list(columns))} of the frame hold values other than 0 and 1")
    return [[name for name, is_set in zip(columns, row, strict=True) if is_set] for row in rows]


def _number_columns(frame: pandas.DataFrame, columns: Sequence[str]) -> list[Any]:
    rows: list[Any] = frame[list(columns)].to_numpy().tolist()
    return rows


def make_table(
    paths: Sequence[str],
    labels: Sequence[Any],
    splits: Sequence[str] | None,
    task: TaskName,
    names: Sequence[str] | None,
) -> list[list[str]]:
    """Return the rows of a table with a line per image, its header first.

    Args:
        paths: N image files.
        labels: N labels, as for ``Data.from_lists``.
        splits: N names of splits, or None.
        task: What the labels are.
        names: Names of the targets of a regression, or None.

    Raises:
        DataError: The lengths differ, or a label does not suit the task.
    """
    for what, given in (("labels", labels), ("splits", splits)):
        if given is not None and len(given) != len(paths):
            raise DataError(f"{len(paths)} images, but {len(given)} {what}")
    if not paths:
        raise DataError("there are no images")
    unknown = sorted(set(splits or ()) - set(SPLITS))
    if unknown:
        raise DataError(f"split {unknown[0]!r} is not one of {', '.join(SPLITS)}")
    header, cells = _CELLS[task](labels, names)
    rows = [[path, *row] for path, row in zip(paths, cells, strict=True)]
    if splits is not None:
        rows = [[*row, split] for row, split in zip(rows, splits, strict=True)]
    return [["path", *header, *(["split"] if splits is not None else [])], *rows]


_Columns = tuple[list[str], list[list[str]]]


def _class_cells(labels: Sequence[Any], names: Sequence[str] | None) -> _Columns:
    values = [plain(label) for label in labels]
    kinds = {"text" if isinstance(label, str) else "number" for label in values}
    for i, label in enumerate(values):
        if not isinstance(label, (str, Integral)) or label == "":
            raise DataError(f"label {i} is {label!r}; expected a class name or number", hint=_OTHER_TASKS)
    if len(kinds) > 1:
        raise DataError("some labels are text and some are numbers; expected one kind")
    return ["label"], [[str(label)] for label in values]


def _label_cells(labels: Sequence[Any], names: Sequence[str] | None) -> _Columns:
    for i, given in enumerate(labels):
        fits = not isinstance(given, str) and isinstance(given, Iterable)
        if not fits or not all(isinstance(name, str) and _SEPARATOR not in name for name in given):
            raise DataError(f"label {i} is {given!r}; expected a list of names without {_SEPARATOR}")
    return ["labels"], [[_SEPARATOR.join(given)] for given in labels]


def _number_cells(labels: Sequence[Any], names: Sequence[str] | None) -> _Columns:
    rows = [np.ravel(plain(label)).tolist() for label in labels]
    width = len(rows[0])
    for i, row in enumerate(rows):
        if len(row) != width or not all(isinstance(value, (int, float)) and math.isfinite(value) for value in row):
            raise DataError(f"label {i} is {labels[i]!r}; expected {width} finite number(s)")
    header = list(names or (["target"] if width == 1 else [f"target_{i + 1}" for i in range(width)]))
    return header, [[repr(value) for value in row] for row in rows]


_CELLS = {"classification": _class_cells, "multilabel": _label_cells, "regression": _number_cells}
_OTHER_TASKS = 'for lists of names use task="multilabel", for other numbers task="regression"'
_OF_COLUMNS = {"classification": _no_columns, "multilabel": _set_columns, "regression": _number_columns}
