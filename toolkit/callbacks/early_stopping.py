"""Stop when a metric no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from toolkit.callbacks.base import MonitorCallback
from toolkit.console import info

__all__ = ["EarlyStopping"]


class EarlyStopping(MonitorCallback):
    """Sets ``model.stop_training`` when the metric has not got better for ``patience`` epochs.

    Args:
        monitor: Metric to watch.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as better.
        patience: Epochs in a row without improvement before stopping; 0, like 1, stops at the first such epoch, and an
            epoch that improves never stops.

    Attributes:
        wait: Epochs in a row without improvement.
        stopped_epoch: Epoch of the stop, from 0, or None.
    """

    state_fields: ClassVar[tuple[str, ...]] = (*MonitorCallback.state_fields, "wait", "stopped_epoch")

    def __init__(
        self, monitor: str = "val/loss", mode: str = "auto", min_delta: float = 0.0, patience: int = 10
    ) -> None:
        self.patience = patience
        super().__init__(monitor, mode, min_delta)

    def reset(self) -> None:
        """Forget everything that was seen."""
        super().reset()
        self.wait = 0
        self.stopped_epoch: int | None = None

    def start_phase(self) -> None:
        """Patience starts anew."""
        self.wait = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start anew; an earlier stop does not end this training."""
        super().on_train_begin(logs)
        self.stopped_epoch = None
        self.model.stop_training = False

    def decide(self, value: float, better: bool) -> None:
        """Count, and stop."""
        self.wait = 0 if better else self.wait + 1
        if self.wait < max(self.patience, 1):
            return
        self.model.stop_training = True
        self.stopped_epoch = self.epoch
        best = (
            f"best: {self.best:.4f} in epoch {self.best_epoch + 1}"
            if self.best is not None and self.best_epoch is not None
            else "there was no finite value"
        )
        epochs = "epoch" if self.wait == 1 else "epochs"
        info(
            f"early stopping after epoch {self.epoch + 1}: {self.monitor} has not got better for {self.wait} {epochs} "
            f"({best})"
        )
