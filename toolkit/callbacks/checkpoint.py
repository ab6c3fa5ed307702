"""Keep the best epoch."""

from __future__ import annotations

from collections.abc import Callable

from toolkit.callbacks.base import MonitorCallback

__all__ = ["Checkpoint"]


class Checkpoint(MonitorCallback):
    """Says when to save; how and where is the caller's.

    Args:
        save_best: Called after each evaluation that is the best so far.
        monitor: Metric that decides which epoch is best.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as better.
    """

    def __init__(
        self,
        save_best: Callable[[], None],
        monitor: str = "val/top1",
        mode: str = "auto",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self._save_best = save_best

    def decide(self, value: float, better: bool) -> None:
        """Save."""
        if better:
            self._save_best()
