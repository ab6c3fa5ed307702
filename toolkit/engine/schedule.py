"""The learning rate over time, as one function of the step and one factor that callbacks may change."""

from __future__ import annotations

import math

from paddle.optimizer import Optimizer

from toolkit.config import TrainConfig

__all__ = ["LearningRate", "schedule_factor"]


def schedule_factor(train: TrainConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Factor of the base learning rate at a step.

    Linear warm-up over ``warmup_epochs`` (He et al. 2016 for the practice; step 0 is not 0), then cosine decay to zero
    (SGDR, Loshchilov & Hutter 2017, eq. 5 without restarts), drops by ``step_gamma``, or a constant.

    Args:
        train: Schedule settings.
        step: Step within the phase, from 0.
        steps_per_epoch: Steps an epoch.
        epochs: Epochs of the phase.

    Returns:
        A number in [0, 1].
    """
    warmup = min(train.warmup_epochs * steps_per_epoch, epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / (math.floor(warmup) + 1)
    done = (step - warmup) / max(1.0, epochs * steps_per_epoch - warmup)
    if train.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if train.schedule == "step":
        return float(train.step_gamma ** sum(done >= drop for drop in train.step_epochs))
    return 1.0


class LearningRate:
    """Drives a float learning rate, and keeps whatever factor a callback applies to it.

    The rate of a step is ``base * schedule_factor * scale``. When a callback (ours or Paddle's) has set another rate on
    the optimizer since the last step, ``scale`` changes by the same ratio, so reductions work on top of every schedule.

    Args:
        optimizer: An optimizer that was made with a float learning rate.
        train: Schedule settings.
        base: Learning rate of the head.
        steps_per_epoch: Steps an epoch.
        epochs: Epochs of the phase.
    """

    def __init__(
        self, optimizer: Optimizer, train: TrainConfig, base: float, steps_per_epoch: int, epochs: int
    ) -> None:
        self._optimizer = optimizer
        self._train = train
        self._base = base
        self._steps_per_epoch = steps_per_epoch
        self._epochs = epochs
        self._last: float | None = None
        self.scale = 1.0

    @property
    def value(self) -> float:
        """The rate of the head that stands on the optimizer now."""
        return float(self._optimizer.get_lr())

    def note_changes(self) -> None:
        """Take over what a callback did to the rate; called before ``scale`` is saved and before each step."""
        if self._last and self.value != self._last:
            self.scale *= self.value / self._last
            self._last = self.value

    def before_step(self, step: int) -> None:
        """Set the rate of a step.

        Args:
            step: Step within the phase, from 0.
        """
        self.note_changes()
        factor = schedule_factor(self._train, step, self._steps_per_epoch, self._epochs)
        self._optimizer.set_lr(self._base * factor * self.scale)
        self._last = self.value
