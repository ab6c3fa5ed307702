"""The callback for runs of a bake-off: record time and memory, and stop runs that fall behind or run out of time."""

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
"""Points at which runs are judged, as fractions of their epochs."""
_MARGINS = {0.25: 0.15, 0.5: 0.10}
"""How far a run may be behind the best other run at these points."""
_SIGMAS = 2.0
_FEWEST_EPOCHS = 3
"""No run is judged earlier: fine-tuning often makes a network worse at first."""


@dataclass(frozen=True)
class HalvingRung:
    """A point at which a run must not be too far behind.

    Attributes:
        epoch: Epoch (1-based) after which the run is judged.
        least: Value that it must have reached by then.
        leader: The best other candidate at that point.
        value: The leader's value.
    """

    epoch: int
    least: float
    leader: str
    value: float


def rung_epoch(fraction: float, planned: int) -> int | None:
    """Return the epoch (1-based) of a rung; None if the run is too short to be judged there."""
    epoch = math.ceil(fraction * planned)
    return epoch if _FEWEST_EPOCHS <= epoch < planned else None


def least_value(fraction: float, value: float, images: int, metric: Metric) -> float:
    """Return the value that a run must have reached if the best other run has reached ``value``.

    A proportion measured on few images is uncertain, so the margin is at least two standard errors of the difference of
    two such proportions.

    Args:
        fraction: One of ``FRACTIONS``.
        value: Metric of the best other run at the same fraction of its epochs.
        images: Number of validation images.
        metric: The metric.
    """
    margin = _MARGINS[fraction]
    if metric.share:
        margin = max(margin, _SIGMAS * math.sqrt(2 * value * (1 - value) / max(1, images)))
    return value - margin if metric.better == "max" else value + margin


class TrialMonitor(MonitorCallback):
    """Record the time of each epoch and the peak memory, and stop the run at a rung or at a deadline.

    The clock starts on construction, so create it just before training.

    Args:
        monitor: The validation metric that decides.
        rungs: Points at which the run may be stopped; see ``HalvingRung``.
        seconds: Remaining time, after which the run ends as after Ctrl-C and can be continued. None: unlimited.

    Attributes:
        halted: Where and why it was stopped early, or None.
        clock: Seconds from the start of training, including features, to the end of each epoch, over all sessions.
        memory: Peak memory of the process in bytes, or None.
        out_of_time: The deadline has passed.
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
        """Clear all recorded values."""
        super().reset()
        self.halted: dict[str, Any] | None = None
        self.clock: list[float] = []
        self.memory: int | None = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Continue the clock of a resumed run."""
        super().on_train_begin(logs)
        self._began = self._created - (self.clock[-1] if self.clock else 0.0)

    def start_phase(self) -> None:
        """Skip further phases of a run that was stopped."""
        if self.halted is not None:
            self.model.stop_training = True

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """End the run at its deadline, as Ctrl-C would."""
        self._check_deadline()

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Record the time, compare, and decide."""
        super().on_eval_end(logs)
        if self._training:
            self._check_deadline()

    def decide(self, value: float, better: bool) -> None:
        """Stop at a rung if its value was not reached."""
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

    def _check_deadline(self) -> None:
        if self._seconds is None or self.out_of_time or time.monotonic() - self._created < self._seconds:
            return
        if threading.current_thread() is not threading.main_thread():
            return  # signals are only handled in the main thread
        self.out_of_time = True
        signal.raise_signal(signal.SIGTERM)  # the trainer saves its state and ends the run, which can be continued
