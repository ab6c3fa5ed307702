"""Keep the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from toolkit.callbacks.base import MonitorCallback, as_float


class Checkpoint(MonitorCallback):
    """Says when to save; how and where is the caller's.

    An epoch is the best when its metric is better than that of all before. Of two that are equal, or no further apart
    than ``min_delta``, the one with the lower validation loss is better; with equal losses the earlier one stays.

    Epochs of a preliminary phase, in which the plan's own stages do not move yet, stay the best only while they are
    better by more than chance: the first epoch of a later phase takes over that is not worse by more than the standard
    error of the difference, ``sqrt(e1^2 + e2^2)`` of the two metrics' own. (Both are measured on the same images, so
    that the true error of the difference is smaller: one such error stands for about two. The one-standard-error rule:
    Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4.3.) Where no error is
    known, as for ``train/...``, the later phase takes over at once.

    Args:
        save_best: Called after each evaluation that is the best so far.
        monitor: Metric that decides which epoch is best.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as better.
        preliminary: Numbers of the preliminary phases, from 0.
        error: Gives the standard error of the monitored metric in the evaluation that has just ended, if it is known.

    Attributes:
        best_loss: Validation loss of the best epoch, or None.
        best_error: Standard error of its metric, or None.
        best_is_preliminary: It belongs to a preliminary phase.
        contenders: ``[epoch, value, preliminary]`` of each epoch that competes; those of a preliminary phase leave when
            a later one takes over.
    """

    state_fields: ClassVar[tuple[str, ...]] = (
        *MonitorCallback.state_fields,
        "best_loss",
        "best_error",
        "best_is_preliminary",
        "contenders",
    )

    def __init__(
        self,
        save_best: Callable[[], None],
        monitor: str = "val/top1",
        mode: str = "auto",
        min_delta: float = 0.0,
        preliminary: Collection[int] = (),
        error: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._save_best = save_best
        self._preliminary = frozenset(preliminary)
        self._error = error
        super().__init__(monitor, mode, min_delta)

    def reset(self) -> None:
        """Forget everything that was seen."""
        super().reset()
        self.best_loss: float | None = None
        self.best_error: float | None = None
        self.best_is_preliminary = False
        self.contenders: list[list[Any]] = []
        self._phase = 0
        self._loss: float | None = None

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; what an earlier version did not note is unknown."""
        self.reset()
        super().set_state_dict({**self.state_dict(), **state})

    def place_phase(self, number: int, done: int, start_stage: int) -> None:
        """Note which phase begins or goes on."""
        self._phase = number

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare, and decide."""
        self._note_loss(logs or {})
        super().on_eval_end(logs)

    def would_be_best(self, logs: Mapping[str, Any]) -> bool:
        """Whether ``on_eval_end`` with these logs will find the best epoch so far; nothing is decided yet."""
        if not self._training or self._is_average_to_come(logs):
            return False
        self._note_loss(logs)
        return self.is_better(self.value(logs))

    def _note_loss(self, logs: Mapping[str, Any]) -> None:
        name = "avg_loss" if self.monitor.startswith("val/avg_") else "loss"
        self._loss = as_float(logs[name]) if name in logs else None

    def is_better(self, value: float) -> bool:
        """Whether this epoch takes the best one's place; see the class."""
        if self.best is None or not math.isfinite(value):
            return super().is_better(value)
        if self.best_is_preliminary and self._phase not in self._preliminary:
            return not self._is_surely_worse(value)
        return super().is_better(value) or self._breaks_tie(value)

    def decide(self, value: float, better: bool) -> None:
        """Note, and save."""
        preliminary = self._phase in self._preliminary
        if math.isfinite(value):
            self.contenders = [*self.contenders, [self.epoch, value, preliminary]]
        if not better:
            return
        if self.best_is_preliminary and not preliminary:
            self.contenders = [each for each in self.contenders if not each[2]]
        self.best_loss, self.best_error, self.best_is_preliminary = self._loss, self._error(), preliminary
        self._save_best()

    def equals(self) -> list[int]:
        """Epochs, from 0, whose metric is within one standard error of the best one's; none where that is unknown."""
        if self.best is None or self.best_error is None or self.best_epoch not in [each[0] for each in self.contenders]:
            return []
        return [epoch for epoch, value, _ in self.contenders if abs(value - self.best) <= self.best_error]

    def _is_surely_worse(self, value: float) -> bool:
        best, error = self.best, self._error()
        if best is None or error is None or self.best_error is None:
            return False
        return (best - value if self.mode == "max" else value - best) > math.hypot(error, self.best_error)

    def _breaks_tie(self, value: float) -> bool:
        """Whether the value is no worse than the best one, and the loss is lower."""
        if self.best is None or self._loss is None or not math.isfinite(self._loss):
            return False
        no_worse = value <= self.best if self.mode == "min" else value >= self.best
        known = self.best_loss is not None and math.isfinite(self.best_loss)
        return no_worse and self.best_loss is not None and (not known or self._loss < self.best_loss)
