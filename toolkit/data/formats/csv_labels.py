"""Convert the cells of a table to class indices, rows of labels, or targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.config import DataConfig
from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed, natural_order, nearest, same_name
from toolkit.data.formats.cells import PARSERS
from toolkit.data.formats.paths import read_numbered_names
from toolkit.data.images import Labels
from toolkit.tasks import TASKS, TaskName

_SEPARATOR = "|"
_PLAIN_SEPARATORS = (",", ";", "\t")
_SEPARATORS = (*_PLAIN_SEPARATORS, "/", "+", "&", " ")
"""Other possible separators; the last ones also occur in names, and count only if the pieces occur again."""


@dataclass(frozen=True)
class Record:
    """An image of a table.

    Attributes:
        file: The table.
        line: Line in the table, from 1.
        image: Name in the table.
        cells: Text of the label columns.
        weight: Weight in training, >= 0; None if the table has none.
    """

    file: Path
    line: int
    image: str
    cells: tuple[str, ...]
    weight: float | None = None

    @property
    def where(self) -> str:
        """Location as ``file:line``."""
        return f"{self.file}:{self.line}"


def read_labels(
    config: DataConfig, root: Path, task: TaskName, columns: Sequence[str], records: Mapping[str, Sequence[Record]]
) -> tuple[tuple[str, ...], dict[str, Labels]]:
    """Read the label cells.

    Args:
        config: ``label_file``, ``label_separator`` and ``classes`` are used.
        root: Folder to which ``label_file`` is relative.
        task: What the labels are.
        columns: Names of the label columns.
        records: Images by split, including ``train``.

    Returns:
        Names of classes, labels or targets; and, by split, class indices, int64 ``[N]``, or rows, float32 ``[N, C]``.

    Raises:
        DataError: A cell is not a label; the message names file, line and column.
    """
    if TASKS[task].one_class_per_image:
        names = {split: [[_filled(record, columns[0])] for record in rows] for split, rows in records.items()}
        classes, numbers = _numbered(config, root, columns[0], names, records)
        return classes, {split: np.array([row[0] for row in rows], np.int64) for split, rows in numbers.items()}
    if TASKS[task].names_in_cells and len(columns) == 1:
        separator = config.label_separator or _SEPARATOR
        names = {split: [_split(record, separator) for record in rows] for split, rows in records.items()}
        _refuse_flags(columns[0], names["train"], records["train"])
        _refuse_other_separator(config, columns[0], records)
        classes, numbers = _numbered(config, root, columns[0], names, records)
        return classes, {split: _rows_of_flags(rows, len(classes)) for split, rows in numbers.items()}
    if config.label_file is not None:
        raise DataError(
            f"data.label_file {config.label_file} has no use here: the columns name the {len(columns)} "
            f"{TASKS[task].plural}",
            hint="leave data.label_file out",
        )
    return tuple(columns), {
        split: np.array([_parsed(record, columns, task) for record in rows], np.float32)
        for split, rows in records.items()
    }


def _filled(record: Record, column: str) -> str:
    if not record.cells[0]:
        raise DataError(f"{record.where}: column {column!r} is empty", hint="every image needs a class")
    return record.cells[0]


def _split(record: Record, separator: str) -> list[str]:
    return [name for name in map(str.strip, record.cells[0].split(separator)) if name]


def _refuse_flags(column: str, names: Iterable[Sequence[str]], records: Sequence[Record]) -> None:
    found = {name for row in names for name in row}
    if found and found <= {"0", "1", "0.0", "1.0"}:
        raise DataError(
            f"{records[0].file}: column {column!r} has only 0 and 1; one column of a multilabel task holds names",
            hint="with two choices set task: classification; else name all label columns in data.label_columns",
        )


def _refuse_other_separator(config: DataConfig, column: str, records: Mapping[str, Sequence[Record]]) -> None:
    """Refuse cells that seem to use another separator than the default; a separator set in the config is trusted."""
    if config.label_file is not None or config.label_separator is not None:
        return
    cells = {record.cells[0] for rows in records.values() for record in rows}
    if any(_SEPARATOR in cell for cell in cells):
        return
    lists = sorted(cell for cell in cells if cell[:1] + cell[-1:] in ("[]", "{}", "()"))
    if lists:
        raise DataError(
            f"{records['train'][0].file}: column {column!r} has cells such as {lists[0][:40]!r}, which are lists",
            hint=f"write names with {_SEPARATOR!r} between them",
        )
    for mark in _SEPARATORS:
        holding = sorted(cell for cell in cells if len(list(filter(None, map(str.strip, cell.split(mark))))) > 1)
        names = {name.strip() for cell in cells for name in cell.split(mark)}
        if holding and (mark in _PLAIN_SEPARATORS or len(names) < len(cells) or names & cells):
            own, file = _SEPARATOR, records["train"][0].file
            raise DataError(
                f"{file}: column {column!r} has cells such as {holding[0][:40]!r}, but never {own!r}",
                hint=f"if {mark!r} separates labels, set data.label_separator: {mark!r}; if cells are names as they "
                f"are, set data.label_separator: {own!r}",
            )


def _numbered(
    config: DataConfig,
    root: Path,
    column: str,
    names: Mapping[str, Sequence[Sequence[str]]],
    records: Mapping[str, Sequence[Record]],
) -> tuple[tuple[str, ...], dict[str, list[list[int]]]]:
    """Return the classes and the class indices of each cell; a label file or ``classes`` may add unseen names."""
    if config.label_file is not None:
        classes, first = read_numbered_names(root / config.label_file)
        numbers = {str(index + first): index for index in range(len(classes))}
    else:
        counted = names if config.classes is not None else {"train": names["train"]}
        found = {name for rows in counted.values() for row in rows for name in row}
        classes, numbers = tuple(sorted(found, key=natural_order)), {}
    numbers.update((name, index) for index, name in enumerate(classes))
    if config.label_file is not None:
        _refuse_count_from_1(config, column, names, records, classes if "0" in numbers else ())
    others = {name for rows in names.values() for row in rows for name in row} - numbers.keys()
    pairs = [(name, same) for name, same in ((name, same_name(name, classes)) for name in sorted(others)) if same]
    if pairs:
        shown = listed([f"{name!a} is {same!a}" for name, same in pairs])
        console.info(f"column {column!r}: {len(pairs)} names are spelled differently from training: {shown}")
    numbers.update((name, numbers[same]) for name, same in pairs)
    result: dict[str, list[list[int]]] = {}
    for split, rows in names.items():
        for row, record in zip(rows, records[split], strict=True):
            unknown = [name for name in row if name not in numbers]
            if unknown:
                source = "training" if config.label_file is None else config.label_file
                raise DataError(
                    f"{record.where}: column {column!r}: {unknown[0][:40]!r} is none of the {len(classes)} of {source}",
                    hint=nearest(unknown[0], classes),
                )
            result.setdefault(split, []).append([numbers[name] for name in row])
    return classes, result


def _refuse_count_from_1(
    config: DataConfig,
    column: str,
    names: Mapping[str, Sequence[Sequence[str]]],
    records: Mapping[str, Sequence[Record]],
    classes: Sequence[str],
) -> None:
    """Refuse cells with the numbers 1 to n if the n names of a label file count from 0."""
    found, known, highest = (
        {name for rows in names.values() for row in rows for name in row},
        set(classes),
        len(classes),
    )
    if (
        highest
        and "0" not in found
        and not found <= known
        and str(highest) in found
        and all(name.isdecimal() for name in found)
    ):
        raise DataError(
            f"{records['train'][0].file}: column {column!r} counts from 1 to {highest}, and has no 0",
            hint=f"class indices count from 0: subtract 1 from each, or number the names in {config.label_file} "
            "from 1 (`1 name`)",
        )


def _rows_of_flags(numbers: Sequence[Sequence[int]], width: int) -> Labels:
    rows = np.zeros((len(numbers), width), np.float32)
    for row, chosen in zip(rows, numbers, strict=True):
        row[list(chosen)] = 1
    return rows


def _parsed(record: Record, columns: Sequence[str], task: TaskName) -> list[float]:
    row = []
    for column, cell in zip(columns, record.cells, strict=True):
        try:
            row.append(PARSERS[TASKS[task].outputs](cell))
        except ValueError as error:
            raise DataError(
                f"{record.where}: column {column!r}: {error}",
                hint="correct it, or choose other columns (data.label_columns)",
            ) from error
    return row
