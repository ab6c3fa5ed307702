"""Save models of several epochs or steps, in addition to the run's best and last."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from toolkit.callbacks.base import MonitorCallback, as_float
from toolkit.callbacks.numbers import metrics_of
from toolkit.config.file_pattern import fill, full_path, model_pattern
from toolkit.core.errors import ConfigError
from toolkit.core.files import clear_os_errors
from toolkit.core.runtime import is_main_process


class ModelCheckpoint(MonitorCallback):
    """Saves the network under a file name pattern, and deletes outdated files.

    A file is kept while it is among the last ``keep_last`` or the best ``keep_best`` saved; with neither, all are kept.
    A file that would not be kept is not written, and old ones are deleted only when the new one is complete. Only the
    epochs of ``every_epochs`` compete, also for ``best_only`` and ``keep_best``. The main process alone writes files.

    A file that an interrupted run saved after its last checkpoint is written again under the same name when the run
    resumes. None of this affects the run's own ``best`` and ``last`` (``Checkpoint``).

    Args:
        save_weights: Called with a path; writes the network's weights atomically.
        folder: Base folder for relative patterns.
        path: Pattern with ``{epoch}`` (from 1), ``{step}`` (of the run) and metrics such as ``{val/loss:.3f}``; with
            ``every_steps`` only those of ``train/``. ``.pdparams`` is added unless it has a known extension. The
            default is the epoch or the step.
        monitor: Metric that decides which is best.
        mode: ``min``, ``max`` or ``auto``.
        min_delta: Smaller changes do not count as an improvement for ``best_only``.
        best_only: Save only if the metric beats all previous ones.
        save_state: Called with ``<name>.optimizer.safetensors`` beside the weights; writes what is needed to resume.
            None: weights only.
        every_epochs: Number of epochs between saves, which follow the evaluation.
        every_steps: Number of steps of the run between saves; used instead of ``every_epochs``.
        keep_last: Number of most recent files to keep.
        keep_best: Number of best files to keep.

    Attributes:
        step: Steps of this training so far.
        saved: ``[path, value]`` of each kept file, in the order of saving.

    Raises:
        ConfigError: The pattern or the combination of options is invalid.
    """

    state_fields: ClassVar[tuple[str, ...]] = (*MonitorCallback.state_fields, "step", "saved")

    def __init__(
        self,
        save_weights: Callable[[Path], None],
        folder: Path | str,
        path: str | None = None,
        monitor: str = "val/loss",
        mode: str = "auto",
        min_delta: float = 0.0,
        *,
        best_only: bool = False,
        save_state: Callable[[Path], None] | None = None,
        every_epochs: int = 1,
        every_steps: int | None = None,
        keep_last: int | None = None,
        keep_best: int | None = None,
    ) -> None:
        self._save_weights, self._save_state = save_weights, save_state
        self._folder = Path(folder)
        self._best_only = best_only
        self._every_epochs, self._every_steps = every_epochs, every_steps
        self._keep_last, self._keep_best = keep_last, keep_best
        try:
            self.path = model_pattern(
                path,
                self.known_monitors,
                best_only=best_only,
                every_steps=every_steps,
                keep_last=keep_last,
                keep_best=keep_best,
            )
        except ValueError as error:
            raise ConfigError(f"ModelCheckpoint: {error}") from None
        super().__init__(monitor, mode, min_delta)

    def reset(self) -> None:
        """Clear the state; the files stay."""
        super().reset()
        self.step = 0
        self.saved: list[list[Any]] = []
        self._logs: Mapping[str, Any] = {}

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start over, or continue with the restored files that still exist."""
        super().on_train_begin(logs)
        if is_main_process():
            self.saved = [entry for entry in self.saved if full_path(entry[0], self._folder).is_file()]

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Count steps, and save every ``every_steps``."""
        self.step += 1
        if self._every_steps and self.step % self._every_steps == 0:
            self._save({f"train/{name}": value for name, value in metrics_of(logs).items()}, None)

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Compare the value, and save every ``every_epochs``."""
        if self._training and not self._every_steps and (self.epoch + 1) % self._every_epochs == 0:
            self._logs = logs or {}
            super().on_eval_end(logs)

    def decide(self, value: float, better: bool) -> None:
        """Save the model if it is to be kept."""
        if better or not self._best_only:
            train = {f"train/{name}": metric for name, metric in metrics_of(self._train_logs).items()}
            self._save({**train, **{f"val/{name}": metric for name, metric in metrics_of(self._logs).items()}}, value)

    def _save(self, metrics: Mapping[str, Any], value: float | None) -> None:
        name = self._name(metrics)
        others = [entry for entry in self.saved if entry[0] != name]
        wanted = [*others, [name, value]]
        keep = self._kept(wanted)
        if wanted[-1] not in keep:
            return
        if is_main_process():
            self._write(full_path(name, self._folder))
        self.saved = keep
        for path, _ in wanted:
            if is_main_process() and path not in [entry[0] for entry in keep]:
                self._delete(full_path(path, self._folder))

    def _name(self, metrics: Mapping[str, Any]) -> str:
        known = {name: as_float(value) for name, value in metrics.items()}
        try:
            return fill(self.path, {**known, "epoch": self.epoch + 1, "step": self.step})
        except KeyError as error:
            raise ConfigError(
                f"ModelCheckpoint: {error.args[0]} of {self.path!r} is not measured in this training "
                f"({', '.join(known)})"
            ) from None

    def _kept(self, entries: list[list[Any]]) -> list[list[Any]]:
        """The entries to keep, in order."""
        if self._keep_last is None and self._keep_best is None:
            return entries
        last = entries[-self._keep_last :] if self._keep_last else []
        ranked = sorted((entry for entry in entries if _is_finite(entry[1])), key=lambda entry: self._rank(entry[1]))
        best = ranked[: self._keep_best or 0]
        return [entry for entry in entries if entry in last or entry in best]

    def _rank(self, value: float) -> float:
        return value if self.mode == "min" else -value

    def _write(self, path: Path) -> None:
        """Write the weights last, so that their presence means the save is complete."""
        with clear_os_errors(f"the checkpoint {path}"):
            if self._save_state is not None:
                self._save_state(_beside(path))
            self._save_weights(path)

    def _delete(self, path: Path) -> None:
        with clear_os_errors(f"the checkpoint {path}"):
            path.unlink(missing_ok=True)
            _beside(path).unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}.optimizer.safetensors")


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
