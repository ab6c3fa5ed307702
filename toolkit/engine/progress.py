"""Console output of a run: a progress bar while it works, and one table line per epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from paddle.callbacks import Callback
from rich.progress import Progress, TaskID

from toolkit.core.console import console, info, progress
from toolkit.engine.time_left import TimeLeft
from toolkit.tasks import Metric, Task

_TAIL = {"lr": "        lr", "images/s": "   images/s", "time": "   time", "left": "  left"}
_LEFT = 14
"""Maximum width of the remaining time, in columns."""
_DROPPED = ("images/s", "lr", "left", "top-5", "micro-F1", "MSE", "macro-F1", "time")
"""Columns omitted on a narrow terminal, in this order."""


class Reporter(Callback):
    """Shows the progress bar and the lines.

    Args:
        epochs: Total number of epochs of all phases.
        samples: Training images per epoch.
        task: The task, whose metrics are shown.
        left: Estimates the remaining time of the run.
        classes: Number of classes, labels or targets.
        is_best: Called with the logs of an evaluation; returns whether it is the best so far.
    """

    def __init__(
        self,
        epochs: int,
        samples: int,
        task: Task,
        left: TimeLeft,
        classes: int = 1000,
        is_best: Callable[[Mapping[str, Any]], bool] = lambda logs: False,
    ) -> None:
        super().__init__()
        self._training = [task.metric("loss"), *(task.metric(name) for name in task.training)]
        self._validation = sorted(task.shown(classes), key=lambda metric: metric.name != "loss")  # the loss first
        self._epochs = epochs
        self._samples = samples
        self._left = left
        self._is_best = is_best
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epoch = 0
        self._began = 0.0
        self._trained = 0.0
        self._train: Mapping[str, Any] = {}
        self._said_header = False
        self._steps = 0

    def place_phase(self, index: int, done: int, start_stage: int) -> None:
        """Start or resume a phase; see ``TimeLeft``."""
        self._left.start_phase(index, done, start_stage)

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the epoch's bar."""
        self._epoch, self._began, self._steps = epoch, time.monotonic(), 0
        self._left.start_epoch()
        self._bar = progress("numbers")
        self._bar.start()
        self._task = self._bar.add_task(
            f"epoch {epoch + 1}/{self._epochs}", total=self.params.get("steps"), numbers="loss -"
        )

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Advance the bar."""
        self._steps += 1
        if self._bar is None or self._task is None:
            return
        logs = logs or {}
        speed = logs.get("seen", 0) / max(1e-9, time.monotonic() - self._began)
        shown = [f"{metric.title} {logs[metric.name]:.4g}" for metric in self._training]
        numbers = f"{'  '.join(shown)}  {speed:.0f} images/s"
        self._bar.update(self._task, advance=1, numbers=numbers)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the training metrics for the line."""
        self._train, self._trained = dict(logs or {}), time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, numbers="evaluating")

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Print the epoch's line; ``*`` marks the best epoch so far."""
        self.close()
        logs, train, now = logs or {}, self._train, time.monotonic()
        steps = self.params.get("steps") or 0
        self._left.end_epoch(self._steps / steps if self._steps and steps else 1.0)
        if not self._said_header:
            info(self._header())
            self._said_header = True
        speed = self._samples / max(1e-9, self._trained - self._began)
        shown = self._fitting()
        tail = {"lr": f"{train['lr']:10.2g}", "images/s": f"{speed:11.0f}", "time": f"{now - self._began:6.1f}s"}
        mark = "*" if self._is_best(logs) else " "
        info(
            f"{self._epoch + 1:3d}/{self._epochs:<3d}{mark}{_numbers(self._training, train)}  |"
            f"{_numbers([metric for metric in self._validation if metric.title in shown], logs)}"
            f"{''.join(words for name, words in tail.items() if name in shown)}"
            f"{f'  {self._left.words()}' if 'left' in shown else ''}".rstrip()
        )

    def _header(self) -> str:
        train = " ".join(f"{_title(metric, 'train'):>{_width(metric)}}" for metric in self._training)
        shown = self._fitting()
        val = " ".join(f"{_title(m, 'val'):>{_width(m)}}" for m in self._validation if m.title in shown)
        tail = "".join(words for name, words in _TAIL.items() if name in shown)
        return f" epoch  {train}  |{val}{tail}"

    def _fitting(self) -> set[str]:
        """Columns besides epoch and training: all, or those that fit on a narrow terminal without wrapping."""
        widths = {metric.title: _width(metric) + 1 for metric in self._validation}
        widths.update((name, len(words)) for name, words in _TAIL.items())
        widths["left"] = _LEFT
        room = console.width - 11 - sum(_width(metric) + 1 for metric in self._training)
        for name in _DROPPED:
            if not console.is_terminal or sum(widths.values()) <= room:
                break
            widths.pop(name, None)
        return set(widths)

    def close(self) -> None:
        """Remove the bar; also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _title(metric: Metric, part: str) -> str:
    return f"{part} loss" if metric.name == "loss" else metric.title


def _width(metric: Metric) -> int:
    return 10 if metric.better == "min" else max(7, len(metric.title) + 1)


def _numbers(metrics: Sequence[Metric], values: Mapping[str, Any]) -> str:
    """Format values in columns; lower-is-better metrics are unbounded, so they get significant digits."""
    return " ".join(
        f"{values[metric.name]:{_width(metric)}.{'4g' if metric.better == 'min' else '3f'}}" for metric in metrics
    )
