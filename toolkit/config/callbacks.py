"""``callbacks``: actions during training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from toolkit.config.file_pattern import check_file_path, fields_of, model_pattern
from toolkit.config.remote_monitor import RemoteMonitorConfig, WeightAveragingConfig
from toolkit.config.section import Fraction, Section, spelled_as
from toolkit.core.names import did_you_mean, listed
from toolkit.tasks import MONITORS, monitor_name


def _switch(value: Any) -> Any:
    """Let a callback be switched on with ``true`` (its defaults) or off with ``false``."""
    return {} if value is True else None if value is False else value


def _of_validation(value: Any) -> Any:
    """Resolve a plain metric name to the validation metric; ``val_acc`` and similar names are known."""
    return monitor_name(value) if isinstance(value, str) else value


def _several(value: Any) -> Any:
    """Accept a single section without a list; ``true`` is one with the defaults."""
    value = _switch(value)
    return () if value is None else (value,) if isinstance(value, (dict, str, Section)) else value


def _hooks(value: Any) -> Any:
    """Check hook names and function paths; a hook takes one function or several."""
    if not isinstance(value, dict):
        raise ValueError("expected `hook: package.module.function` lines")
    for hook in value:
        if hook not in HOOKS:
            raise ValueError(f"unknown hook {hook}; {did_you_mean(str(hook), HOOKS) or f'known: {listed(HOOKS, 20)}'}")
    found = {hook: _several(paths) for hook, paths in value.items()}
    for hook, paths in found.items():
        for path in paths if isinstance(paths, (list, tuple)) else (paths,):
            if not (isinstance(path, str) and re.fullmatch(_DOTTED, path)):
                raise ValueError(f"{hook}: expected package.module.function (found {path!r})")
    return found


HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_eval_begin",
    "on_eval_end",
    "on_eval_batch_begin",
    "on_eval_batch_end",
)
"""Hooks at which functions can be called."""
_DOTTED = r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$"
if TYPE_CHECKING:
    MonitorName = str
else:
    MonitorName = Literal[MONITORS]
_OF_THE_RUN = ("config.yaml", "metrics.jsonl", "run.json", "report.html")
Monitor = Annotated[MonitorName, BeforeValidator(_of_validation)]


class MonitorConfig(Section):
    """Options shared by callbacks that monitor a metric."""

    monitor: Monitor = "val/loss"
    """Metric to watch: train/loss, val/loss; classification: train/top1, val/top1, val/top5, val/macro_f1; multilabel:
    val/map, val/macro_f1, val/micro_f1; regression: val/r2, val/mae, val/mse. `callbacks.weight_averaging` adds the
    metrics of the averaged weights: val/avg_loss, val/avg_top1, val/avg_top5, val/avg_macro_f1, val/avg_micro_f1,
    val/avg_map, val/avg_r2, val/avg_mae, val/avg_mse."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether lower or higher is better; `auto` infers it from the metric."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smallest change that counts as an improvement."""


class EarlyStoppingConfig(MonitorConfig):
    """Stop when the metric stops improving."""

    patience: int = Field(default=10, ge=0)
    """Epochs without improvement before stopping; 0 stops after the first one."""
    baseline: float | None = Field(default=None, allow_inf_nan=False)
    """Value to beat: until then, no epoch counts as an improvement."""
    start_epoch: int = Field(default=0, ge=0)
    """Number of epochs to ignore at the start of the run."""
    restore_best: bool = False
    """After a phase is stopped, continue the next one from the best weights by this monitor. Unless `checkpoint` sets
    its own monitor, this monitor also selects the run's best epoch."""


class CheckpointConfig(MonitorConfig):
    """How to select the best epoch."""

    monitor: Monitor | None = None  # type: ignore[assignment]
    """Metric that selects the best epoch, whose model is exported. By default that of `early_stopping` with
    `restore_best`, or else the task's: top1, map or r2."""


class ModelCheckpointConfig(MonitorConfig):
    """Keep models of several epochs or steps, in addition to the run's best and last."""

    path: str | None = None
    """File name pattern, below `models/` in the run folder unless absolute: `{epoch:02d}-{val/loss:.3f}`, with {epoch}
    (from 1), {step} and metrics. Ends in .pdparams (added if missing) or .safetensors."""
    monitor: Monitor | None = None  # type: ignore[assignment]
    """Metric that selects the best models. By default the task's: top1, map or r2."""
    best_only: bool = False
    """Save only models that improve on all earlier ones."""
    weights_only: bool = True
    """false: also keep the optimizer state, in `<name>.optimizer.safetensors`."""
    every_epochs: int = Field(default=1, ge=1)
    """Epochs between saved models."""
    every_steps: int | None = Field(default=None, ge=1)
    """Steps of the run between saved models, instead of epochs."""
    keep_last: int | None = Field(default=None, ge=1)
    """Number of latest models to keep; older ones are deleted unless `keep_best` keeps them."""
    keep_best: int | None = Field(default=None, ge=1)
    """Number of best models to keep; without `keep_last` and `keep_best`, all are kept."""

    @model_validator(mode="after")
    def _files_can_be_named(self) -> ModelCheckpointConfig:
        if self.every_steps is not None and "every_epochs" in self.model_fields_set and self.every_epochs != 1:
            raise ValueError("every_epochs and every_steps both set when to save: use only one of them")
        _ = self.pattern
        return self

    @property
    def pattern(self) -> str:
        """The complete file name pattern."""
        return model_pattern(
            self.path,
            MONITORS,
            best_only=self.best_only,
            every_steps=self.every_steps,
            keep_last=self.keep_last,
            keep_best=self.keep_best,
        )

    def metrics(self) -> tuple[str, ...]:
        """Return the metrics in the pattern."""
        return tuple(name for name in fields_of(self.pattern, ("epoch", "step", *MONITORS)) if "/" in name)


class LogFileConfig(Section):
    """A log file with one line per epoch."""

    path: str | None = None
    """The file, in the run folder unless absolute; by default `epochs.csv` or `epochs.jsonl`."""

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, value: str | None) -> str | None:
        if value is not None:
            check_file_path(value)
            if value in _OF_THE_RUN:
                raise ValueError(f"{value} is written by the run itself; choose another name")
        return value


class PlateauConfig(MonitorConfig):
    """Reduce the learning rate when the metric stops improving."""

    factor: Fraction = 0.3
    """Factor by which the rate is multiplied."""
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement before reducing."""
    cooldown: int = Field(default=0, ge=0)
    """Epochs to wait after a reduction."""
    min_lr: float = Field(default=0.0, ge=0)
    """Lower bound of the head's rate; stages with a fraction of that rate keep their fraction."""


class CustomCallbackConfig(Section):
    """A custom callback: any subclass of paddle.callbacks.Callback."""

    path: str = Field(pattern=_DOTTED)
    """Dotted path of the class, `package.module.Class`."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for its constructor."""


_Switched = BeforeValidator(_switch)


class CallbacksConfig(Section):
    """Callbacks during training; `true` uses the defaults, `false` switches one off."""

    early_stopping: Annotated[EarlyStoppingConfig | None, _Switched] = None
    """Stop early."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """How to select the best epoch (best and last are always kept)."""
    reduce_on_plateau: Annotated[PlateauConfig | None, _Switched] = None
    """Reduce the learning rate on a plateau; enabled by `train.schedule: plateau`."""
    weight_averaging: Annotated[WeightAveragingConfig | None, BeforeValidator(spelled_as("kind")), _Switched] = None
    """Average the weights over training."""
    remote_monitor: Annotated[RemoteMonitorConfig | None, BeforeValidator(spelled_as("url"))] = None
    """Report the progress of the run to a server."""
    model_checkpoint: Annotated[
        tuple[Annotated[ModelCheckpointConfig, BeforeValidator(spelled_as("path"))], ...], BeforeValidator(_several)
    ] = ()
    """Keep more models than the best and the last; a section or a list of sections."""
    csv_logger: Annotated[LogFileConfig | None, BeforeValidator(spelled_as("path")), _Switched] = None
    """Write a table with one row per epoch."""
    jsonl_logger: Annotated[LogFileConfig | None, BeforeValidator(spelled_as("path")), _Switched] = None
    """Write one line of JSON per epoch."""
    functions: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_hooks)] = Field(default_factory=dict)
    """Custom functions by hook of paddle.callbacks.Callback: `on_epoch_end: package.module.function`."""
    custom: tuple[Annotated[CustomCallbackConfig, BeforeValidator(spelled_as("path"))], ...] = ()
    """Custom callbacks by dotted path."""

    @property
    def deciding(self) -> EarlyStoppingConfig | CheckpointConfig:
        """The section that selects the run's best epoch; its monitor may be None for the task's."""
        stopping = self.early_stopping
        follows = self.checkpoint.monitor is None and stopping is not None and stopping.restore_best
        return stopping if follows and stopping is not None else self.checkpoint

    def monitors(self) -> tuple[str, ...]:
        """Return all metrics that callbacks monitor."""
        monitoring = (self.early_stopping, self.checkpoint, self.reduce_on_plateau, *self.model_checkpoint)
        named = [callback.monitor for callback in monitoring if callback is not None and callback.monitor is not None]
        return (*named, *(name for callback in self.model_checkpoint for name in callback.metrics()))
