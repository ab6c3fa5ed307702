"""The remaining time of a run, measured with a clock that the test sets."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from toolkit.config import Config
from toolkit.core import console
from toolkit.engine import Trainer
from toolkit.engine import time_left as module
from toolkit.engine.progress import Reporter
from toolkit.engine.time_left import TimeLeft, rough_time
from toolkit.tasks import TASKS
from toolkit.transfer import PhasePlan


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr("toolkit.engine.progress.time", clock)
    return clock


def plan(*phases: tuple[int, int]) -> list[PhasePlan]:
    """Phases with the given numbers of epochs and frozen stages."""
    return [PhasePlan(f"phase {number}", epochs, frozen, 0.1, ()) for number, (epochs, frozen) in enumerate(phases)]


def epoch(left: TimeLeft, clock: Clock, seconds: float, saving: float = 0.0, share: float = 1.0) -> None:
    left.start_epoch()
    clock.now += seconds
    left.end_epoch(share)
    clock.now += saving


def test_epochs_of_the_same_phase(clock: Clock) -> None:
    left = TimeLeft(plan((10, 0)), 8)
    left.start_phase(0, 0, 0)
    assert left.words() == ""
    epoch(left, clock, 30.0)
    assert left.known == (270.0, 0)
    epoch(left, clock, 20.0)
    assert left.known == (160.0, 0)  # the first one, of cold caches, counts no more
    epoch(left, clock, 22.0)
    assert left.known == (147.0, 0)
    assert left.words() == "about 2 min"


def test_saving_belongs_to_the_epoch(clock: Clock) -> None:
    left = TimeLeft(plan((5, 0)), 8)
    left.start_phase(0, 0, 0)
    for _ in range(4):
        epoch(left, clock, 10.0, saving=5.0)
    assert left.known == (15.0, 0)
    epoch(left, clock, 10.0)
    assert left.words() == ""


def test_phases_that_learn_more_take_longer(clock: Clock) -> None:
    left = TimeLeft(plan((2, 9), (5, 0), (3, 9)), 9)
    left.start_phase(0, 0, 0)
    epoch(left, clock, 12.0)
    assert left.known == (12.0 + 5 * 30.0 + 3 * 12.0, 0)  # 10 passes forward and 2 back; 10 and 20
    epoch(left, clock, 12.0)
    left.start_phase(1, 0, 0)
    assert left.words() == ""
    epoch(left, clock, 50.0)
    assert left.known == (4 * 50.0 + 3 * 12.0, 0)  # the last phase freezes as much as the first


def test_kept_features_say_nothing_of_images(clock: Clock) -> None:
    left = TimeLeft(plan((4, 9), (5, 0)), 9)
    left.start_phase(0, 0, 9)
    epoch(left, clock, 2.0)
    assert left.known == (6.0, 5)
    assert left.words() == "about 6 s + 5 epochs"


def test_a_resumed_epoch_is_not_measured(clock: Clock) -> None:
    left = TimeLeft(plan((10, 0)), 8)
    left.start_phase(0, 4, 0)
    epoch(left, clock, 3.0, share=0.2)
    assert left.words() == ""
    epoch(left, clock, 15.0)
    assert left.known == (60.0, 0)


def test_a_phase_that_ended_early_leaves_the_next_one(clock: Clock) -> None:
    left = TimeLeft(plan((100, 0), (2, 0)), 8)
    left.start_phase(0, 0, 0)
    epoch(left, clock, 5.0)
    left.start_phase(1, 0, 0)
    assert left.known == (10.0, 0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "1 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h"), (72000, "20 h"), (4e5, "5 days")],
)
def test_no_more_digits_than_are_known(seconds: float, words: str) -> None:
    assert rough_time(seconds) == words


def test_the_line_of_an_epoch_shows_it(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(console, "console", Console(file=text, width=200))
    reporter = Reporter(2, 100, TASKS["classification"], TimeLeft(plan((2, 0)), 8))
    reporter.set_params({"steps": 4})
    reporter.place_phase(0, 0, 0)
    metrics = dict.fromkeys(("loss", "top1", "top5", "macro_f1"), 0.5)
    for number in range(2):
        reporter.on_epoch_begin(number)
        for step in range(4):
            clock.now += 10.0
            reporter.on_train_batch_end(step, {**metrics, "seen": 10})
        reporter.on_epoch_end(number, {**metrics, "lr": 0.1})
        clock.now += 5.0
        reporter.on_eval_end(metrics)
    header, first, last = text.getvalue().splitlines()
    assert header.endswith("time  left")
    assert first.endswith("45.0s  about 45 s")
    assert last.endswith("45.0s")


def test_a_run_shows_it(make: Callable[..., Config], capsys: pytest.CaptureFixture[str]) -> None:
    phases: list[dict[str, Any]] = [{"epochs": 2, "freeze": "all"}, {"epochs": 2, "freeze": 0}]
    Trainer.from_config(make(transfer={"preset": "custom", "phases": phases}, data={"augment": "none"})).fit()
    lines = [
        line for line in capsys.readouterr().err.splitlines() if line.lstrip().startswith(("1/", "2/", "3/", "4/"))
    ]
    assert [line.rpartition("s  ")[2] for line in lines[:2]] == ["about 1 s + 2 epochs", "2 epochs"]
    assert "about" in lines[2]
    assert lines[3].endswith("s")


@pytest.mark.parametrize("width", [60, 80, 100, 200])
@pytest.mark.parametrize("classes", [2, 100])
def test_epoch_lines_fit_the_terminal(
    width: int, classes: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toolkit.core.console import console

    monkeypatch.setattr(console, "_force_terminal", True)
    monkeypatch.setattr(console, "_width", width)
    monkeypatch.setattr(console, "_height", 20)
    task = TASKS["classification"]
    reporter = Reporter(200, 100, task, TimeLeft(plan((200, 0)), 8), classes, lambda logs: True)
    reporter.set_params({"steps": 4})
    reporter.place_phase(0, 0, 0)
    reporter.on_epoch_begin(99)
    metrics = dict.fromkeys(("loss", "top1", "top5", "macro_f1"), 0.5)
    reporter.on_epoch_end(99, {**metrics, "lr": 0.001})
    reporter.on_eval_end(metrics)
    header, line = [line for line in capsys.readouterr().err.splitlines() if "|" in line]
    assert line.startswith("100/200*")
    assert header.index("|") == line.index("|")
    assert len(line) <= width
    shown = reporter._fitting()
    assert len(reporter._header()) <= width
    assert ("top-5" in shown) == (classes > 5 and width >= 80)
    assert {"loss", "top-1"} <= shown
    assert ("images/s" in shown) == (width == 200)
