"""Base class of all callbacks that monitor a metric."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, NoReturn

import numpy as np
from paddle.callbacks import Callback

from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean
from toolkit.tasks import MONITORS, better_of, monitor_name


def as_float(value: Any) -> float:
    """Convert a value from Paddle's logs, which may be a scalar, a list or an array."""
    return float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


class MonitorCallback(Callback, ABC):
    """Monitors one metric and decides after each evaluation.

    Paddle evaluates after ``on_epoch_end``, so decisions are made in ``on_eval_end``; evaluations outside training are
    ignored. A reused callback starts over unless its state was restored just before.

    Args:
        monitor: ``val/loss``, ``train/top1``, ...; a bare name means ``val/``; spellings of other frameworks
            (``val_loss``, ``val_acc``) are accepted.
        mode: ``min``, ``max``, or ``auto`` (lower is better for losses).
        min_delta: Smaller changes do not count as an improvement, >= 0.

    Attributes:
        best: Best value so far, or None.
        best_epoch: Epoch of the best value, from 0, or None.
        epoch: Current epoch, from 0.

    Raises:
        ConfigError: The mode is unknown.
    """

    known_monitors: ClassVar[tuple[str, ...]] = MONITORS
    """All that any training measures; ``avg_`` is of averaged weights."""
    state_fields: ClassVar[tuple[str, ...]] = ("best", "best_epoch")
    """Names of the attributes saved in the state; subclasses add theirs."""

    best: float | None
    best_epoch: int | None

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            raise ConfigError(f"{type(self).__name__}: unknown mode {mode!r}; expected auto, min or max")
        self.monitor = monitor_name(monitor)
        self.mode = mode if mode != "auto" else better_of(self.monitor)
        self.min_delta = abs(min_delta)
        self.epoch = 0
        self._train_logs: Mapping[str, Any] = {}
        self._training = False
        self._restored = False
        self.reset()

    def reset(self) -> None:
        """Clear the state."""
        self.best = None
        self.best_epoch = None

    def start_phase(self) -> None:
        """Start a new phase of the same training: patience starts over, the best value stays."""

    @abstractmethod
    def decide(self, value: float, better: bool) -> None:
        """Act on a new value, after each evaluation of a training.

        Args:
            value: The metric; may be NaN.
            better: Whether the value is the best so far; ``best`` and ``best_epoch`` are up to date.
        """

    def is_better(self, value: float) -> bool:
        """Whether a value improves on the best by more than ``min_delta``; NaN and infinity never do."""
        return self.beats(value, self.best)

    def beats(self, value: float, other: float | None) -> bool:
        """Whether a value is better than another, or finite if there is no other."""
        if not math.isfinite(value):
            return False
        if other is None:
            return True
        return value < other - self.min_delta if self.mode == "min" else value > other + self.min_delta

    def value(self, logs: Mapping[str, Any]) -> float:
        """The monitored metric in the logs of the last epoch.

        Args:
            logs: Logs passed to ``on_eval_end``.

        Raises:
            ConfigError: The logs do not contain the metric.
        """
        part, _, name = self.monitor.partition("/")
        metrics = logs if part == "val" else self._train_logs
        if name not in metrics:
            self._not_measured(metrics)
        return as_float(metrics[name])

    def state_dict(self) -> dict[str, Any]:
        """The state as plain values."""
        return {name: getattr(self, name) for name in self.state_fields}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the next training continues from it."""
        for name in self.state_fields:
            setattr(self, name, state[name])
        self._restored = True

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check the monitor, and start over unless a state was restored.

        Raises:
            ConfigError: The monitor is unknown, or is not measured in this training.
        """
        self._check_monitor()
        if not self._restored:
            self.reset()
        self._restored = False
        self._training = True

    def _is_average_to_come(self, logs: Mapping[str, Any]) -> bool:
        """Whether the monitor refers to averaged weights before any have been averaged."""
        name = self.monitor.removeprefix("val/")
        return name.startswith("avg_") and name not in logs

    def _check_monitor(self) -> None:
        if self.monitor not in self.known_monitors:
            raise ConfigError(
                f"{type(self).__name__}: unknown monitor {self.monitor!r}; known are {', '.join(self.known_monitors)}",
                hint=did_you_mean(self.monitor, self.known_monitors),
            )
        part, _, name = self.monitor.partition("/")
        measured = self.params.get("metrics") if isinstance(self.params, Mapping) else None
        if part == "val" and measured and name not in measured:
            self._not_measured(measured)

    def _not_measured(self, names: Iterable[str]) -> NoReturn:
        part = self.monitor.partition("/")[0]
        raise ConfigError(
            f"{type(self).__name__}: monitor {self.monitor} is not measured in this training "
            f"({', '.join(f'{part}/{name}' for name in names)})"
        )

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Ignore later evaluations, which are not part of the training."""
        self._training = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the epoch."""
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the training metrics for the decision after the evaluation."""
        self._train_logs = logs or {}

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare the value and decide."""
        if not self._training or self._is_average_to_come(logs or {}):
            return
        value = self.value(logs or {})
        better = self.is_better(value)
        if better:
            self.best, self.best_epoch = value, self.epoch
        self.decide(value, better)
