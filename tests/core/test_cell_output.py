"""What a notebook shows while the toolkit works."""

from __future__ import annotations

import re
import sys
import types
import warnings

import pytest

from toolkit.core import cell_output, notebook
from toolkit.core import console as module
from toolkit.core.cell_output import WIDTH, notebook_console
from toolkit.core.console import info, new_table, progress, quietly, show, shown_warnings, status, warn
from toolkit.core.errors import ConfigError
from toolkit.core.notebook import in_notebook, messages


class Cell:
    """What a cell shows, and what is on its red background."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys, self._text, self._red = capsys, "", ""

    def _read(self) -> None:
        text, red = self._capsys.readouterr()
        self._text, self._red = self._text + text, self._red + red

    @property
    def text(self) -> str:
        self._read()
        return self._text

    @property
    def red(self) -> str:
        self._read()
        return self._red


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cell:
    """The output of a cell of a kernel."""
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    monkeypatch.setattr(module, "console", notebook_console(quiet=False))
    monkeypatch.setattr(cell_output, "_BETWEEN", 0.0)
    return Cell(capsys)


def seen(text: str) -> list[str]:
    """The lines that remain: what follows a carriage return overwrites its line."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(re.sub(r"\x1b\[[0-9;]*m", "", shown).rstrip())
    return lines


def test_a_terminal_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()
    assert messages() is sys.stderr
    shell = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert not notebook.in_notebook()


def test_messages_are_text_and_not_red(cell: Cell) -> None:
    info("kept [bold]")
    warn("careful")
    assert seen(cell.text) == ["kept [bold]", "warning: careful", ""]
    assert cell.red == ""
    assert messages() is sys.stdout


def test_tables_fit(cell: Cell) -> None:
    table = new_table("wide", "a", "b")
    table.add_row("x" * 90, "y" * 90)
    show(table)
    assert max(map(len, seen(cell.text))) <= WIDTH


def test_the_moving_line_is_one_line_and_disappears(cell: Cell) -> None:
    with progress("numbers") as bar:
        task = bar.add_task("epoch 1/2", total=4, numbers="loss -")
        for step in range(3):
            bar.update(task, advance=1, numbers=f"loss 0.{step}")
        now = seen(cell.text)
        assert len(now) == 1
        assert now[0].startswith("epoch 1/2  |███████████████     | 3/4  loss 0.2")
        info("in between")
        bar.advance(task)
    info("  1/2  0.9")
    assert seen(cell.text) == ["in between", "  1/2  0.9", ""]


def test_the_moving_line_is_not_drawn_at_every_step(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_output, "_BETWEEN", 3600.0)
    with progress() as bar:
        task = bar.add_task("predicting", total=1000)
        for _ in range(1000):
            bar.advance(task)
    assert cell.text.count("predicting") <= 1


def test_a_silent_console_draws_nothing(cell: Cell) -> None:
    with quietly(), progress() as bar:
        bar.advance(bar.add_task("predicting", total=2))
    with progress() as bar:
        bar.add_task("checking", total=0)
    assert cell.text == ""


def test_what_takes_long_is_said(cell: Cell) -> None:
    with status("1/8 linear_probe ..."):
        assert seen(cell.text) == ["1/8 linear_probe ..."]
    assert seen(cell.text) == [""]


def test_warnings_of_python_are_messages(cell: Cell) -> None:
    with shown_warnings():
        warnings.warn("Monitor of EarlyStopping should be loss", stacklevel=1)
    assert seen(cell.text) == ["warning: Monitor of EarlyStopping should be loss", ""]


def test_an_error_is_a_few_lines() -> None:
    error = ConfigError("no such key", hint="did you mean epochs?")
    assert error._render_traceback_() == ["ConfigError: no such key", "  did you mean epochs?"]
