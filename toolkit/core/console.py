"""Console output while a tool works: messages, tables and progress, from the main process only.

They go to stderr, in a notebook to the output of the running cell.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from os import PathLike
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from toolkit.core import interrupts
from toolkit.core.cell_output import MovingLine, notebook_console
from toolkit.core.notebook import in_notebook
from toolkit.core.runtime import is_main_process

PROGRAM = "paddle-finetune"
"""The installed command."""

console = (
    notebook_console(quiet=not is_main_process())
    if in_notebook()
    else Console(stderr=True, quiet=not is_main_process(), highlight=False, soft_wrap=True)
)


def command(name: str, *words: str | PathLike[str]) -> str:
    """The command line of a subcommand that works where the user is, quoted for copying into a shell.

    Example:
        >>> command("train", "--resume", "runs/my birds")  # doctest: +SKIP
        "paddle-finetune train --resume 'runs/my birds'"
    """
    script = interrupts.tool_script()
    if script is not None:
        return shlex.join(["python", str(Path(script).with_name(f"{name}.py")), *map(str, words)])
    return shlex.join([*_program(), name, *map(str, words)])


@cache
def _program() -> tuple[str, ...]:
    installed = shutil.which(PROGRAM) is not None or Path(sys.argv[0]).stem == PROGRAM
    return (PROGRAM,) if installed else ("python", "-m", "toolkit")


def info(message: str) -> None:
    """Print an informational line. Text in square brackets is printed verbatim."""
    console.print(message, markup=False)


def warn(message: str) -> None:
    """Print a warning."""
    console.print(f"warning: {message}", style="yellow", markup=False)


@contextmanager
def shown_warnings() -> Iterator[None]:
    """In a notebook, print Python's warnings like those of the toolkit: stderr has a red background there."""
    if not in_notebook():
        yield
        return
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: warn(str(message))
        yield


@contextmanager
def quietly() -> Iterator[None]:
    """Silence the console within the context."""
    before, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = before


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Capture console output; the yielded function prints it once the context has ended."""

    def print_captured() -> None:
        console.file.write(captured.get())
        console.file.flush()

    with console.capture() as captured:
        yield print_captured


def new_table(title: str, *columns: str, numeric: tuple[str, ...] = ()) -> Table:
    """An empty table in the toolkit's one style; columns named in ``numeric`` are right-aligned."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numeric else "left")
    return table


def show(table: Table) -> None:
    """Print a table."""
    console.print(table, soft_wrap=False)


def progress(*fields: str) -> Progress:
    """A progress bar that disappears when done: in a notebook one moving line, elsewhere silent without a terminal.

    Args:
        fields: Names of task fields to show after the bar, such as ``"loss"``; pass their text to
            ``Progress.add_task`` and ``Progress.update``.
    """
    if in_notebook():
        return MovingLine(console, fields)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(f"{{task.fields[{field}]}}") for field in fields),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (is_main_process() and console.is_terminal),
    )


@contextmanager
def status(words: str) -> Iterator[None]:
    """Show what is being done until it is: a moving line in a notebook, a spinner on a terminal."""
    if in_notebook():
        with progress() as bar:
            bar.add_task(words, total=None)
            yield
    elif console.is_terminal:
        with console.status(words):
            yield
    else:
        yield
