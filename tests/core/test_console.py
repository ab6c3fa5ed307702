"""Messages, tables and progress."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from toolkit.core import console as module
from toolkit.core.console import info, new_table, progress, show, warn


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(module, "console", Console(file=text, width=100, highlight=False, soft_wrap=True))
    return text


def test_messages_are_printed_as_they_are(screen: io.StringIO) -> None:
    info("kept [bold] and [0, 1] and 类别")
    warn("one of [5] images is missing")
    assert screen.getvalue() == "kept [bold] and [0, 1] and 类别\nwarning: one of [5] images is missing\n"


def test_long_messages_stay_on_one_line(screen: io.StringIO) -> None:
    info("x" * 300)
    assert screen.getvalue() == "x" * 300 + "\n"


def test_a_table_has_its_title_columns_and_rows(screen: io.StringIO) -> None:
    table = new_table("Results", "preset", "top1", numeric=("top1",))
    table.add_row("all_stages", "0.63")
    show(table)
    assert [column.justify for column in table.columns] == ["left", "right"]
    assert all(word in screen.getvalue() for word in ("Results", "preset", "top1", "all_stages", "0.63"))


def test_progress_is_silent_where_there_is_no_terminal(screen: io.StringIO) -> None:
    with progress("loss") as bar:
        task = bar.add_task("epoch 1", total=3, loss="1.0")
        bar.update(task, advance=1, loss="0.9")
    assert screen.getvalue() == ""


def test_progress_shows_its_fields_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(module, "console", Console(file=text, width=100, force_terminal=True))
    with progress("loss") as bar:
        bar.add_task("epoch 1", total=3, completed=2, loss="0.9173")
        bar.refresh()
    assert "epoch 1" in text.getvalue()
    assert "2/3" in text.getvalue()
    assert "0.9173" in text.getvalue()


@pytest.mark.parametrize(("rank", "expected"), [("0", "hello\n"), ("1", "")])
def test_only_the_main_process_speaks_and_on_stderr(rank: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_TRAINER_ID", rank)
    command = [sys.executable, "-c", "from toolkit.core.console import info; info('hello')"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("", expected)
