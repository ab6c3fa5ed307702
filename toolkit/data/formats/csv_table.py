"""Read a table with a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import listed, nearest
from toolkit.data.decode import IMAGE_EXTENSIONS
from toolkit.data.formats.file_finder import Finder
from toolkit.data.formats.paths import read_text

_DELIMITERS = ",;\t"
_UNNAMED = re.compile(r"Unnamed: \d+(\.\d+|_level_\d+)*")
"""Names that pandas gives columns with an empty header."""


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        line: Line number in the file, from 1.
        cells: Stripped text by column.
    """

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        file: Path of the table.
        columns: Names of the columns, without unnamed ones (row numbers written by pandas). A table without a header
            has ``column 1``, ``column 2``, ...
        rows: The lines that are not empty.
        header: Names of all columns, including empty ones.
    """

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    header: tuple[str, ...]

    def require(self, names: Sequence[str], key: str) -> None:
        """Check that columns exist.

        Args:
            names: Their names.
            key: The config key to mention.

        Raises:
            DataError: A column is missing; the hint suggests similar names.
        """
        missing = [name for name in names if name not in self.columns]
        if missing:
            raise DataError(
                f"{self.file} has no column {', '.join(map(repr, missing))} ({key})",
                hint=nearest(missing[0], self.columns),
            )


def read_table(file: Path, find: Finder, like: Table | None = None) -> Table:
    """Read a table separated by commas, semicolons or tabs, whichever is most frequent in its header.

    Args:
        file: UTF-8 text, with or without a byte order mark; the first line is the header unless it names an image.
        find: Decides whether it names an image.
        like: A table whose header is reused if this one has none and the same number of columns.

    Returns:
        The table.

    Raises:
        DataError: The table is missing, not UTF-8, empty, or has a malformed line; the message names file and line.
    """
    lines = _read_lines(file)
    if _begins_with_an_image(lines, find):
        header = [f"column {number}" for number in range(1, len(lines[0][1]) + 1)]
        if like is not None and len(like.header) == len(header):
            header = list(like.header)
        console.info(f"{file} has no header (line {lines[0][0]} names an image): its columns are {listed(header)}")
        lines.insert(0, (0, header))
    if len(lines) < 2:
        raise DataError(f"{file} lists no images", hint="expected a header, and a line for each image")
    names = ["" if _UNNAMED.fullmatch(name) else name for name in lines[0][1]]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{file}:{lines[0][0]}: column {listed(twice)} is repeated", hint="rename one of them")
    for number, cells in lines[1:]:
        if len(cells) != len(names):
            raise DataError(
                f"{file}:{number}: {len(cells)} cell(s), but the header has {len(names)}",
                hint="put quotes around text that holds a separator",
            )
    rows = [
        Row(number, {name: cell for name, cell in zip(names, cells, strict=True) if name})
        for number, cells in lines[1:]
    ]
    return Table(file, tuple(name for name in names if name), tuple(rows), tuple(names))


def _read_lines(file: Path) -> list[tuple[int, list[str]]]:
    """Return line number and cells of each line that is not empty."""
    text = read_text(file)
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True, strict=True)
    lines: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                lines.append((reader.line_num, stripped))
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num}: {error}", hint='check the quotes (") of this line') from error
    return lines


def _begins_with_an_image(lines: Sequence[tuple[int, list[str]]], find: Finder) -> bool:
    """Return True if the first line names an image: by its extension, or by a file in the same column as below."""
    if not lines:
        return False
    first, second = lines[0][1], lines[min(1, len(lines) - 1)][1]
    return any(Path(cell).suffix.lower() in IMAGE_EXTENSIONS for cell in first) or any(
        cell and below and find(cell).is_file() and find(below).is_file()
        for cell, below in zip(first, second, strict=False)
    )
