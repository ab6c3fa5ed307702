"""Stop when a metric no longer gets better."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from toolkit.callbacks.base import MonitorCallback
from toolkit.core.console import info


class EarlyStopping(MonitorCallback):
    """Sets ``model.stop_training`` when the metric has not got better for ``patience`` epochs.

    A training of several phases goes on with the next one. ``restore_best`` decides what it goes on from, and what the
    network holds when the training ends. It does not decide what a run leaves behind: the best epoch's model, which is
    exported and reported, is that of ``Checkpoint``, and its monitor. (Where a config asks for ``restore_best`` and
    gives no monitor for the checkpoint, both follow this one's.)

    Args:
        monitor: Metric to watch.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as better.
        patience: Epochs in a row without improvement before stopping; 0, like 1, stops at the first such epoch, and an
            epoch that improves never stops.
        baseline: A value that must be beaten: until then no epoch counts as better, as in Paddle. None: the first epoch
            does.
        start_epoch: So many epochs at the beginning of the training are not looked at, >= 0.
        restore_best: Put the weights of the best epoch back when a phase was stopped, and at the end of a training that
            was: those that were trained, not their average. Costs a copy in memory, and in the run's checkpoint.

    Attributes:
        wait: Epochs in a row without improvement.
        stopped_epoch: Epoch of the stop, from 0, or None.
    """

    state_fields: ClassVar[tuple[str, ...]] = (*MonitorCallback.state_fields, "wait", "stopped_epoch")

    def __init__(
        self,
        monitor: str = "val/loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        patience: int = 10,
        baseline: float | None = None,
        start_epoch: int = 0,
        restore_best: bool = False,
    ) -> None:
        self.patience = patience
        self.baseline = baseline
        self.start_epoch = start_epoch
        self.restore_best = restore_best
        super().__init__(monitor, mode, min_delta)

    def reset(self) -> None:
        """Forget everything that was seen."""
        super().reset()
        self.wait = 0
        self.stopped_epoch: int | None = None
        self._best_weights: dict[str, NDArray[Any]] = {}
        self._is_put_back = False

    def start_phase(self) -> None:
        """Patience starts anew."""
        self.wait = 0
        self.stopped_epoch = None

    def resume_phase(self) -> None:
        """A phase that had been stopped when the run was interrupted is over."""
        self.model.stop_training = self.stopped_epoch is not None

    def end_phase(self) -> None:
        """Put the best weights back when this one stopped the phase."""
        if self._is_put_back or not self._best_weights or self.stopped_epoch is None or self.best_epoch is None:
            return
        self.model.network.set_state_dict(self._best_weights)
        self._is_put_back = True
        info(f"the weights of epoch {self.best_epoch + 1}, the best by {self.monitor}, are put back")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The best weights so far, by state-dict key; part of the state."""
        return dict(self._best_weights)

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore what ``arrays`` gave."""
        self._best_weights = dict(arrays)

    def is_better(self, value: float) -> bool:
        """Whether a value beats the best so far, or the baseline while there is none."""
        return self.beats(value, self.baseline if self.best is None else self.best)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start anew: an earlier stop does not end this training, unless its state was restored."""
        super().on_train_begin(logs)
        self.model.stop_training = self.stopped_epoch is not None

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Put the best weights back when this one stopped the training."""
        super().on_train_end(logs)
        self.end_phase()

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare, and decide, from ``start_epoch`` on."""
        if self.epoch >= self.start_epoch:
            super().on_eval_end(logs)

    def decide(self, value: float, better: bool) -> None:
        """Count, and stop."""
        self.wait = 0 if better else self.wait + 1
        if better and self.restore_best:
            self._best_weights = {key: array.numpy().copy() for key, array in self.model.network.state_dict().items()}
        if self.wait < max(self.patience, 1):
            return
        self.model.stop_training = True
        self.stopped_epoch = self.epoch
        self._is_put_back = False
        epochs = "epoch" if self.wait == 1 else "epochs"
        info(
            f"early stopping after epoch {self.epoch + 1}: {self.monitor} has not got better for {self.wait} {epochs} "
            f"({self._best_in_words()})"
        )

    def _best_in_words(self) -> str:
        if self.best is not None and self.best_epoch is not None:
            return f"best: {self.best:.4f} in epoch {self.best_epoch + 1}"
        return "there was no finite value" if self.baseline is None else f"never better than {self.baseline:g}"
