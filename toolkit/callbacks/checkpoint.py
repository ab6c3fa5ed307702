"""Keep the best epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

from toolkit.callbacks.base import MonitorCallback, as_float


class Checkpoint(MonitorCallback):
    """Decides when to save; the caller decides how and where.

    An epoch is the best if its metric beats all earlier ones. Of two that are equal, or within ``min_delta`` of each
    other, the one with the lower validation loss wins; with equal losses the earlier one stays.

    An epoch of a preliminary phase, in which the plan's own stages do not move yet, stays the best only while it is
    better by more than chance: the first epoch of a later phase takes over if it is worse by no more than the standard
    error of the difference, ``sqrt(e1^2 + e2^2)`` of the two metrics' errors. (Both are measured on the same images, so
    the true error of the difference is smaller: one such error amounts to about two. The one-standard-error rule:
    Breiman, Friedman, Olshen & Stone 1984, Classification and Regression Trees, section 3.4.3.) If no error is known,
    as for ``train/...``, the later phase takes over at once.

    Args:
        save_best: Called after every evaluation with the best value so far.
        monitor: Metric that decides which epoch is best.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as an improvement.
        preliminary: Indices of the preliminary phases, from 0.
        error: Returns the standard error of the monitored metric in the evaluation that just ended, or None.

    Attributes:
        best_loss: Validation loss of the best epoch, or None.
        best_error: Standard error of the best epoch's metric, or None.
        best_is_preliminary: Whether the best epoch belongs to a preliminary phase.
        contenders: ``[epoch, value, preliminary]`` of each competing epoch; those of a preliminary phase are removed
            when a later phase takes over.
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
        """Clear the state."""
        super().reset()
        self.best_loss: float | None = None
        self.best_error: float | None = None
        self.best_is_preliminary = False
        self.contenders: list[list[Any]] = []
        self._phase = 0
        self._loss: float | None = None

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; values that an earlier version did not save are unknown."""
        self.reset()
        super().set_state_dict({**self.state_dict(), **state})

    def place_phase(self, index: int, done: int, start_stage: int) -> None:
        """Store which phase starts or resumes."""
        self._phase = index

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare the value and decide."""
        self._note_loss(logs or {})
        super().on_eval_end(logs)

    def would_be_best(self, logs: Mapping[str, Any]) -> bool:
        """Whether ``on_eval_end`` with these logs would pick this epoch as the best so far; decides nothing."""
        if not self._training or self._is_average_to_come(logs):
            return False
        self._note_loss(logs)
        return self.is_better(self.value(logs))

    def _note_loss(self, logs: Mapping[str, Any]) -> None:
        name = "avg_loss" if self.monitor.startswith("val/avg_") else "loss"
        self._loss = as_float(logs[name]) if name in logs else None

    def is_better(self, value: float) -> bool:
        """Whether this epoch becomes the best one; see the class."""
        if self.best is None or not math.isfinite(value):
            return super().is_better(value)
        if self.best_is_preliminary and self._phase not in self._preliminary:
            return not self._is_surely_worse(value)
        return super().is_better(value) or self._breaks_tie(value)

    def decide(self, value: float, better: bool) -> None:
        """Store the value and save."""
        preliminary = self._phase in self._preliminary
        if math.isfinite(value):
            self.contenders = [*self.contenders, [self.epoch, value, preliminary]]
        if not better:
            return
        if self.best_is_preliminary and not preliminary:
            self.contenders = [contender for contender in self.contenders if not contender[2]]
        self.best_loss, self.best_error, self.best_is_preliminary = self._loss, self._error(), preliminary
        self._save_best()

    def equals(self) -> list[int]:
        """Epochs, from 0, whose metric is within one standard error of the best; empty if that is unknown."""
        competing = [contender[0] for contender in self.contenders]
        if self.best is None or self.best_error is None or self.best_epoch not in competing:
            return []
        return [epoch for epoch, value, _ in self.contenders if abs(value - self.best) <= self.best_error]

    def _is_surely_worse(self, value: float) -> bool:
        best, error = self.best, self._error()
        if best is None or error is None or self.best_error is None:
            return False
        return (best - value if self.mode == "max" else value - best) > math.hypot(error, self.best_error)

    def _breaks_tie(self, value: float) -> bool:
        """Whether the value is no worse than the best and the loss is lower."""
        if self.best is None or self._loss is None or not math.isfinite(self._loss):
            return False
        no_worse = value <= self.best if self.mode == "min" else value >= self.best
        known = self.best_loss is not None and math.isfinite(self.best_loss)
        return no_worse and self.best_loss is not None and (not known or self._loss < self.best_loss)
