"""Stop when a metric stops improving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from numpy.typing import NDArray

from toolkit.callbacks.base import MonitorCallback
from toolkit.core.console import info


class EarlyStopping(MonitorCallback):
    """Sets ``model.stop_training`` when the metric has not improved for ``patience`` epochs.

    A training with several phases continues with the next one. ``restore_best`` decides which weights that phase starts
    from, and which the network holds when the training ends. It does not decide the result of a run: ``Checkpoint``
    and its monitor pick the best epoch's model, which is exported and reported. (If a config sets ``restore_best`` and
    no monitor for the checkpoint, both follow this callback's monitor.)

    Args:
        monitor: Metric to watch.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as an improvement.
        patience: Consecutive epochs without improvement before stopping; 0, like 1, stops at the first such epoch. An
            epoch that improves never stops.
        baseline: A value to beat: until then no epoch counts as an improvement, as in Paddle. None: the first epoch
            does.
        start_epoch: Number of epochs to ignore at the start of the training, >= 0.
        restore_best: Restore the weights of the best epoch (the trained ones, not their average) when a phase was
            stopped, and when the whole training was. Costs a copy in memory and in the run's checkpoint.

    Attributes:
        wait: Consecutive epochs without improvement.
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
        """Clear the state."""
        super().reset()
        self.wait = 0
        self.stopped_epoch: int | None = None
        self._best_weights: dict[str, NDArray[Any]] = {}
        self._is_put_back = False

    def start_phase(self) -> None:
        """Start patience over."""
        self.wait = 0
        self.stopped_epoch = None

    def resume_phase(self) -> None:
        """End a phase that had already stopped when the run was interrupted."""
        self.model.stop_training = self.stopped_epoch is not None

    def end_phase(self) -> None:
        """Restore the best weights if this callback stopped the phase."""
        if self._is_put_back or not self._best_weights or self.stopped_epoch is None or self.best_epoch is None:
            return
        self.model.network.set_state_dict(self._best_weights)
        self._is_put_back = True
        info(f"restored the weights of epoch {self.best_epoch + 1}, the best by {self.monitor}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The best weights so far, by state-dict key; part of the state."""
        return dict(self._best_weights)

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the arrays returned by ``arrays``."""
        self._best_weights = dict(arrays)

    def is_better(self, value: float) -> bool:
        """Whether a value beats the best so far, or the baseline if there is no best yet."""
        return self.beats(value, self.baseline if self.best is None else self.best)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start over: an earlier stop does not end this training, unless its state was restored."""
        super().on_train_begin(logs)
        self.model.stop_training = self.stopped_epoch is not None

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Restore the best weights if this callback stopped the training."""
        super().on_train_end(logs)
        self.end_phase()

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare the value and decide, from ``start_epoch`` on."""
        if self.epoch >= self.start_epoch:
            super().on_eval_end(logs)

    def decide(self, value: float, better: bool) -> None:
        """Count epochs without improvement, and stop."""
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
            f"early stopping after epoch {self.epoch + 1}: {self.monitor} has not improved for {self.wait} {epochs} "
            f"({self._best_in_words()})"
        )

    def _best_in_words(self) -> str:
        if self.best is not None and self.best_epoch is not None:
            return f"best: {self.best:.4f} in epoch {self.best_epoch + 1}"
        return "no finite value" if self.baseline is None else f"never better than {self.baseline:g}"
