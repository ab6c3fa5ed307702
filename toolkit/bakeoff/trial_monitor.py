"""The callback of a run that takes part: it keeps the time, and ends what is hopeless or out of time."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from toolkit.bakeoff.memory import peak_memory
from toolkit.callbacks import MonitorCallback
from toolkit.core.console import info
from toolkit.tasks import Metric

FRACTIONS = (0.25, 0.5)
"""Where runs are judged, as shares of their epochs."""
_MARGINS = {0.25: 0.15, 0.5: 0.10}
"""How far behind the best other one a run may be there."""
_SIGMAS = 2.0
_FEWEST_EPOCHS = 3
"""Sooner nobody is judged: a network that moves is often worse at first."""


@dataclass(frozen=True)
class HalvingRung:
    """A point where a run must not be too far behind.

    Attributes:
        epoch: After this epoch (1-based).
        least: The value that it must have reached by then.
        leader: Who was the best there.
        value: The leader's value.
    """

    epoch: int
    least: float
    leader: str
    value: float


def rung_epoch(fraction: float, planned: int) -> int | None:
    """The epoch (1-based) of a rung; None where a run is too short to be judged there."""
    epoch = math.ceil(fraction * planned)
    return epoch if _FEWEST_EPOCHS <= epoch < planned else None


def least_value(fraction: float, value: float, images: int, metric: Metric) -> float:
    """What a run must have reached when the best other one has reached ``value``.

    A share that is measured on few images is uncertain: the margin is never less than two standard errors of the
    difference of two such shares.

    Args:
        fraction: One of ``FRACTIONS``.
        value: The metric of the best other run at the same share of its epochs.
        images: Number of validation images.
        metric: What is compared.
    """
    margin = _MARGINS[fraction]
    if metric.share:
        margin = max(margin, _SIGMAS * math.sqrt(2 * value * (1 - value) / max(1, images)))
    return value - margin if metric.better == "max" else value + margin


class TrialMonitor(MonitorCallback):
    """Notes the time of each epoch and the most memory, and stops the run at a rung or at a deadline.

    The clock starts when it is made: make it just before the training.

    Args:
        monitor: The validation metric that decides.
        rungs: Where the run may be stopped; see ``HalvingRung``.
        seconds: Time that is left for it; then it ends like one that Ctrl-C interrupts, and can go on. None: enough.

    Attributes:
        halted: Where and why it was stopped, or None.
        clock: Seconds from the beginning of training, features included, to the end of each epoch, over all sittings.
        memory: Most memory of the process in bytes, or None.
        out_of_time: The deadline came.
    """

    state_key: ClassVar[str] = "Watch"
    state_fields: ClassVar[tuple[str, ...]] = (*MonitorCallback.state_fields, "halted", "clock", "memory")

    def __init__(self, monitor: str, rungs: Sequence[HalvingRung] = (), seconds: float | None = None) -> None:
        self._rungs = tuple(rungs)
        self._created = self._began = time.monotonic()
        self._seconds = seconds
        self.out_of_time = False
        super().__init__(monitor)

    def reset(self) -> None:
        """Forget everything that was seen."""
        super().reset()
        self.halted: dict[str, Any] | None = None
        self.clock: list[float] = []
        self.memory: int | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Go on where the clock was."""
        super().on_train_begin(logs)
        self._began = self._created - (self.clock[-1] if self.clock else 0.0)

    def start_phase(self) -> None:
        """A run that was stopped has no further phases."""
        if self.halted is not None:
            self.model.stop_training = True

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """End the run when its time is over, as Ctrl-C would."""
        self._look_at_the_time()

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Note the time, compare, and decide."""
        super().on_eval_end(logs)
        if self._training:
            self._look_at_the_time()

    def decide(self, value: float, better: bool) -> None:
        """Stop at a rung that was not reached."""
        done = self.epoch + 1
        self.clock = [*self.clock[: self.epoch], time.monotonic() - self._began]
        found = peak_memory()
        self.memory = max(found, self.memory or 0) if found is not None else self.memory
        for rung in self._rungs:
            if rung.epoch == done and self.halted is None and not self._reached(rung):
                self.halted = {**asdict(rung), "reached": self.best}
                info(
                    f"stopped after epoch {done}: {self.monitor} {self.best} is behind {rung.leader}, {rung.value:.4f}"
                )
        if self.halted is not None:
            self.model.stop_training = True

    def _reached(self, rung: HalvingRung) -> bool:
        if self.best is None:
            return False
        return self.best <= rung.least if self.mode == "min" else self.best >= rung.least

    def _look_at_the_time(self) -> None:
        if self._seconds is None or self.out_of_time or time.monotonic() - self._created < self._seconds:
            return
        if threading.current_thread() is not threading.main_thread():
            return  # signals are noted in the main thread only
        self.out_of_time = True
        signal.raise_signal(signal.SIGTERM)  # the trainer saves, and ends the run so that it can go on
