"""Log one CSV row per epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.callbacks.epoch_log import EpochLog
from toolkit.core.errors import ConfigError
from toolkit.core.files import write_text


class CSVLogger(EpochLog):
    """Writes a CSV file with the columns ``epoch``, ``lr``, ``train/...``, ``val/...``.

    A metric that appears later (of averaged weights, for instance) gets its own column, empty until then. Numbers
    keep full precision.

    Args:
        path: The file. Its folder is created.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self._columns: list[str] = []

    def keep_until(self, epoch: int) -> None:
        """Drop the rows after an epoch.

        Raises:
            ConfigError: The file was not written by this callback.
        """
        columns, rows = self._read()
        self._write(columns, [row for row in rows if int(row[0]) <= epoch])

    def append(self, values: Mapping[str, float]) -> None:
        """Write a row, adding new columns."""
        if not self.path.exists():
            self._write(list(values), [])
        elif not self._columns:
            self._columns = self._read()[0]
        new = [name for name in values if name not in self._columns]
        if new:
            columns, rows = self._read()
            self._write([*columns, *new], [[*row, *[""] * len(new)] for row in rows])
        row = [values.get(name, "") for name in self._columns]
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(_text([row]))

    def _read(self) -> tuple[list[str], list[list[str]]]:
        """Header and complete rows."""
        text = self.path.read_bytes().decode(errors="replace")
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(io.StringIO(whole, newline="")))
        columns = rows[0] if rows else ["epoch"]
        alien = columns[0] != "epoch" or any(len(row) != len(columns) or not row[0].isdigit() for row in rows[1:])
        if alien:
            raise ConfigError(
                f"CSVLogger: {self.path} was not written by it (first column {columns[0][:40]!r}), or has bad rows",
                hint="move it away, or give another path",
            )
        return columns, rows[1:]

    def _write(self, columns: list[str], rows: Sequence[Sequence[Any]]) -> None:
        self._columns = columns
        write_text(self.path, _text([columns, *rows]))


def _text(rows: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()
