"""Reduce the learning rate when a metric stops improving."""

from __future__ import annotations

from typing import ClassVar

from paddle.optimizer.lr import LRScheduler

from toolkit.callbacks.base import MonitorCallback
from toolkit.core.console import info
from toolkit.core.errors import ConfigError


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the optimizer's rate by ``factor`` when the metric has not improved for ``patience`` epochs.

    The optimizer's rate must be a number; a schedule on top of it preserves the factor (``engine.LearningRate``), and
    stages with a share of the rate keep their share.

    Args:
        monitor: Metric to watch.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as an improvement.
        factor: New rate = old rate x factor, in (0, 1).
        patience: Consecutive epochs without improvement before reducing; 0, like 1, reduces at the first.
        cooldown: Epochs to wait after a reduction; as in Keras and Paddle, the last of them counts towards patience.
        min_lr: Lower bound of the head's rate.

    Attributes:
        wait: Consecutive epochs without improvement.
        cooldown_left: Remaining epochs of cooldown.

    Raises:
        ConfigError: The factor is not between 0 and 1.
    """

    state_fields: ClassVar[tuple[str, ...]] = (*MonitorCallback.state_fields, "wait", "cooldown_left")

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        factor: float = 0.3,
        patience: int = 3,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ConfigError(f"ReduceLROnPlateau: factor is {factor:g}; expected a number between 0 and 1")
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        super().__init__(monitor, mode, min_delta)

    def reset(self) -> None:
        """Clear the state."""
        super().reset()
        self.wait = 0
        self.cooldown_left = 0

    def start_phase(self) -> None:
        """Start patience over."""
        self.wait = 0
        self.cooldown_left = 0

    def decide(self, value: float, better: bool) -> None:
        """Count epochs without improvement, and reduce the rate."""
        if self.cooldown_left:
            self.cooldown_left -= 1
            self.wait = 0
        if better:
            self.wait = 0
        elif not self.cooldown_left:
            self.wait += 1
            if self.wait >= max(self.patience, 1):
                self._reduce()

    def _reduce(self) -> None:
        optimizer = self.model._optimizer
        if isinstance(optimizer._learning_rate, LRScheduler):
            raise ConfigError(
                "ReduceLROnPlateau: the optimizer's learning rate is a scheduler",
                hint="create the optimizer with a number, or omit this callback",
            )
        old = float(optimizer.get_lr())
        new = max(old * self.factor, self.min_lr)
        if new >= old:
            return
        optimizer.set_lr(new)
        self.cooldown_left = self.cooldown
        self.wait = 0
        info(f"epoch {self.epoch + 1}: {self.monitor} has stopped improving, learning rate {old:.3g} -> {new:.3g}")
