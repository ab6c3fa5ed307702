"""What a person sees of a run: a progress bar while it works and a table line an epoch."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from paddle.callbacks import Callback
from rich.progress import Progress, TaskID

from toolkit.console import info, progress

__all__ = ["Reporter"]

_HEADER = " epoch   train loss   top-1  |  val loss   top-1   top-5  macro-F1        lr   images/s   time"


class Reporter(Callback):
    """Shows the bar and the lines.

    Args:
        epochs: Epochs of all phases together.
        samples: Training images an epoch.
    """

    def __init__(self, epochs: int, samples: int) -> None:
        super().__init__()
        self._epochs = epochs
        self._samples = samples
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._epoch = 0
        self._began = 0.0
        self._trained = 0.0
        self._train: Mapping[str, Any] = {}
        self._said_header = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the epoch's bar."""
        self._epoch, self._began = epoch, time.monotonic()
        self._bar = progress("numbers")
        self._bar.start()
        self._task = self._bar.add_task(
            f"epoch {epoch + 1}/{self._epochs}", total=self.params.get("steps"), numbers="loss -"
        )

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Move the bar."""
        if self._bar is None or self._task is None:
            return
        logs = logs or {}
        speed = logs.get("seen", 0) / max(1e-9, time.monotonic() - self._began)
        numbers = f"loss {logs['loss']:.4f}  top-1 {logs['top1']:.3f}  {speed:.0f} images/s"
        self._bar.update(self._task, advance=1, numbers=numbers)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Remember the training numbers for the line."""
        self._train, self._trained = dict(logs or {}), time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, numbers="evaluating")

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Print the epoch's line."""
        self.close()
        logs, train, now = logs or {}, self._train, time.monotonic()
        if not self._said_header:
            info(_HEADER)
            self._said_header = True
        speed = self._samples / max(1e-9, self._trained - self._began)
        info(
            f"{self._epoch + 1:3d}/{self._epochs:<3d} {train['loss']:11.4f} {train['top1']:7.3f}  |"
            f"{logs['loss']:10.4f} {logs['top1']:7.3f} {logs['top5']:7.3f} {logs['macro_f1']:9.3f}"
            f"{train['lr']:10.2g} {speed:10.0f} {now - self._began:5.1f}s"
        )

    def close(self) -> None:
        """Take the bar away; also after an error."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
