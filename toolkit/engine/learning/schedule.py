"""The learning rate over time, as one function of the step and one factor that callbacks may change."""

from __future__ import annotations

import math

from paddle.optimizer import Optimizer

from toolkit.config import TrainConfig

_ROUNDING = 1e-9
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START * 1e-4


def schedule_factor(train: TrainConfig, step: int, steps_per_epoch: int, epochs: int) -> float:
    """Factor of the base learning rate at a step.

    Linear warm-up over ``warmup_epochs`` or ``warmup_steps`` (He et al. 2016 for the practice; step 0 is not 0), then
    the ``schedule``. With ``t`` the share of finished steps after the warm-up, and ``e`` the end factor:

    - ``cosine``: e + (1 - e) (1 + cos(pi t)) / 2 (SGDR, Loshchilov & Hutter 2017, eq. 5 without restarts);
    - ``linear``: e + (1 - e) (1 - t);  ``polynomial``: e + (1 - e) (1 - t)^power;
    - ``step``, ``multistep``: gamma^(drops so far), at epochs or shares of the whole phase, including its warm-up, as
      in Paddle's and PyTorch's schedulers;  ``exponential``: gamma^(epochs after the warm-up);
    - ``one_cycle``: from 1/25 up to 1 and down to 1/250,000 at the last step, both in half a cosine (Smith & Topin
      2018, with the shape and the constants of PyTorch's ``OneCycleLR``; momentum is not changed);
    - ``constant``, ``plateau``: 1.

    Args:
        train: Schedule settings.
        step: Step within the phase, from 0.
        steps_per_epoch: Steps per epoch.
        epochs: Epochs of the phase.

    Returns:
        A number in [0, 1].
    """
    total = epochs * steps_per_epoch
    warmup = min(train.warmup_steps or train.warmup_epochs * steps_per_epoch, total)
    if step < warmup:
        return (step + 1) / (math.floor(warmup) + 1)
    done = (step - warmup) / max(1.0, total - warmup)
    if train.schedule in ("step", "multistep"):
        return float(train.step_gamma ** _drops(train, step / steps_per_epoch, step / total))
    if train.schedule == "exponential":
        return float(train.exponential_gamma ** ((step - warmup) / steps_per_epoch))
    if train.schedule == "one_cycle":
        return _one_cycle(train.one_cycle_rise, step, total)
    left = {"cosine": _slope(1.0, 0.0, done), "linear": 1 - done, "polynomial": (1 - done) ** train.polynomial_power}
    return train.end_factor + (1 - train.end_factor) * left[train.schedule] if train.schedule in left else 1.0


def _drops(train: TrainConfig, epoch: float, done: float) -> int:
    """Drops so far, at an epoch of the phase and a share of its steps."""
    if train.schedule == "step" and train.step_every is not None:
        return int((epoch + _ROUNDING) / train.step_every)
    return sum((done if drop < 1 else epoch) + _ROUNDING >= drop for drop in train.step_epochs)


def _one_cycle(rise: float, step: int, total: int) -> float:
    """The fall ends at the last step; with very few steps, the peak is at the second to last at the latest."""
    peak = max(0.0, min(rise * total, total - 2))
    if step < peak:
        return _slope(_ONE_CYCLE_START, 1.0, step / peak)
    return _slope(1.0, _ONE_CYCLE_END, (step - peak) / max(1.0, total - 1 - peak))


def _slope(start: float, end: float, done: float) -> float:
    """Half a cosine from ``start`` to ``end``."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * done))


def scaled_rate(rate: float, train: TrainConfig, processes: int) -> float:
    """The rate for a number of processes, according to ``train.scale_lr``.

    ``linear``: Goyal et al. 2017, arXiv:1706.02677, section 2.1; ``sqrt``: Krizhevsky 2014, arXiv:1404.5997, section 5.
    Processes that share one batch (``train.processes``) change nothing.
    """
    count = processes if train.processes == 1 else 1
    return rate * {"none": 1.0, "linear": float(count), "sqrt": math.sqrt(count)}[train.scale_lr]


class LearningRate:
    """Drives a float learning rate, preserving any factor that a callback applies to it.

    The rate of a step is ``base * schedule_factor * scale``. When a callback (ours or Paddle's) has set another rate on
    the optimizer since the last step, ``scale`` changes by the same ratio, so reductions work on top of every schedule.

    Args:
        optimizer: An optimizer created with a float learning rate.
        train: Schedule settings.
        base: Learning rate of the head.
        steps_per_epoch: Steps per epoch.
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
        """The optimizer's current rate for the head."""
        return float(self._optimizer.get_lr())

    def note_changes(self) -> None:
        """Adopt a callback's change of the rate; called before ``scale`` is saved and before each step."""
        if self._last and self.value != self._last:
            self.scale *= self.value / self._last
            self._last = self.value

    def settled(self) -> float:
        """``scale``, including the callbacks' changes so far."""
        self.note_changes()
        return self.scale

    def before_step(self, step: int) -> None:
        """Set the rate of a step.

        Args:
            step: Step within the phase, from 0.
        """
        self.note_changes()
        factor = schedule_factor(self._train, step, self._steps_per_epoch, self._epochs)
        self._optimizer.set_lr(self._base * factor * self.scale)
        self._last = self.value
