"""The output of a notebook's cell: messages as text, and a progress line that moves in place.

A kernel's stdout and stderr are no terminals: rich would show each message as an output of its own, and stderr has a
red background. So messages go to the cell's output as text, and progress is one line that a carriage return overwrites,
which every notebook understands; no widgets are needed.
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

from rich.console import Console
from rich.progress import Progress, Task, TaskID

WIDTH = 100
"""Columns of tables in a notebook: wider ones would wrap."""
_BAR = 20
_BETWEEN = 0.25
"""Least seconds between two drawings."""


class CellOutput:
    """The output of the running cell as a file, with at most one moving line at its end."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._line = ""
        self._drawn = 0.0

    def write(self, text: str) -> int:
        """Erase the moving line and write text."""
        if text:
            self.erase()
            sys.stdout.write(text)
        return len(text)

    def draw(self, line: str) -> None:
        """Replace the moving line, unless it was drawn a moment ago."""
        now = time.monotonic()
        if now - self._drawn >= _BETWEEN:
            sys.stdout.write(f"\r{line.ljust(len(self._line))}")
            sys.stdout.flush()
            self._line, self._drawn = line, now

    def erase(self) -> None:
        """Remove the moving line."""
        if self._line:
            sys.stdout.write(f"\r{' ' * len(self._line)}\r")
            self._line = ""

    def flush(self) -> None:
        """Flush the cell's output."""
        sys.stdout.flush()

    def isatty(self) -> bool:
        """A cell is no terminal."""
        return False


def notebook_console(quiet: bool) -> Console:
    """A console that prints text, with colours, into the output of the running cell."""
    return Console(
        file=CellOutput(),  # type: ignore[arg-type]
        force_jupyter=False,
        color_system="standard",
        width=WIDTH,
        quiet=quiet,
        highlight=False,
        soft_wrap=True,
    )


class MovingLine(Progress):
    """A progress bar as the moving line of a cell's output; silent while the console is.

    Args:
        console: From ``notebook_console``.
        fields: Names of task fields to show after the bar.
    """

    def __init__(self, console: Console, fields: tuple[str, ...] = ()) -> None:
        super().__init__(console=console, disable=True)
        self._output = console.file if isinstance(console.file, CellOutput) and not console.quiet else None
        self._fields = fields

    def add_task(self, *args: Any, **options: Any) -> TaskID:
        """Add a task and show it."""
        task = super().add_task(*args, **options)
        self._draw(task)
        return task

    def advance(self, task_id: TaskID, advance: float = 1) -> None:
        """Advance a task and show it."""
        super().advance(task_id, advance)
        self._draw(task_id)

    def update(self, task_id: TaskID, **options: Any) -> None:
        """Update a task and show it."""
        super().update(task_id, **options)
        self._draw(task_id)

    def stop(self) -> None:
        """Remove the line."""
        super().stop()
        if self._output is not None:
            self._output.erase()

    def _draw(self, task_id: TaskID) -> None:
        task = self._tasks[task_id]
        if self._output is not None and task.total != 0:
            self._output.draw(_line(task, [str(task.fields[field]) for field in self._fields]))


def _line(task: Task, texts: list[str]) -> str:
    """``epoch 1/3 |██████              |  4/15  loss 0.9  0:00:02 left``."""
    parts = [task.description]
    if task.total is not None:
        filled = round(_BAR * min(1.0, task.completed / task.total)) if task.total else _BAR
        parts.append(f"|{'█' * filled}{' ' * (_BAR - filled)}| {int(task.completed)}/{int(task.total)}")
    parts += [text for text in texts if text]
    if task.time_remaining:
        parts.append(f"{timedelta(seconds=round(task.time_remaining))} left")
    return "  ".join(parts)
