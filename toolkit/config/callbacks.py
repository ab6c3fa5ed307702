"""``callbacks``: what happens beside training."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from toolkit.config.file_pattern import check_place, fields_of, model_pattern
from toolkit.config.remote_monitor import RemoteMonitorConfig, WeightAveragingConfig
from toolkit.config.section import Fraction, Section, spelled_as
from toolkit.core.names import did_you_mean, listed
from toolkit.tasks import monitor_name


def _switch(value: Any) -> Any:
    """Let a callback be switched with ``true`` (its defaults) or ``false``."""
    return {} if value is True else None if value is False else value


def _of_validation(value: Any) -> Any:
    """A metric's plain name means that of the validation images; ``val_acc`` and the like are known."""
    return monitor_name(value) if isinstance(value, str) else value


def _several(value: Any) -> Any:
    """One section may be written without a list; ``true`` is one with the defaults."""
    value = _switch(value)
    return () if value is None else (value,) if isinstance(value, (dict, str, Section)) else value


def _hooks(value: Any) -> Any:
    """Known hooks, each with one function or several."""
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
"""Where functions can be called."""
_DOTTED = r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$"
MonitorName = Literal[
    "val/loss",
    "val/top1",
    "val/top5",
    "val/macro_f1",
    "val/micro_f1",
    "val/map",
    "val/r2",
    "val/mae",
    "val/mse",
    "train/loss",
    "train/top1",
    "val/avg_loss",
    "val/avg_top1",
    "val/avg_top5",
    "val/avg_macro_f1",
    "val/avg_micro_f1",
    "val/avg_map",
    "val/avg_r2",
    "val/avg_mae",
    "val/avg_mse",
]
_MONITORS: tuple[str, ...] = get_args(MonitorName)
_OF_THE_RUN = ("config.yaml", "metrics.jsonl", "run.json", "report.html")
Monitor = Annotated[MonitorName, BeforeValidator(_of_validation)]


class MonitorConfig(Section):
    """What callbacks that watch a metric have in common."""

    monitor: Monitor = "val/loss"
    """Metric to watch: train/loss, val/loss; classification: train/top1, val/top1, val/top5, val/macro_f1; multilabel:
    val/map, val/macro_f1, val/micro_f1; regression: val/r2, val/mae, val/mse. With `callbacks.weight_averaging` also
    those of the averaged weights: val/avg_loss, val/avg_top1, val/avg_top5, val/avg_macro_f1, val/avg_micro_f1,
    val/avg_map, val/avg_r2, val/avg_mae, val/avg_mse."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better; `auto` knows."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smaller changes do not count as better."""


class EarlyStoppingConfig(MonitorConfig):
    """Stop when the metric no longer gets better."""

    patience: int = Field(default=10, ge=0)
    """Epochs without improvement before stopping; 0 stops at the first one."""
    baseline: float | None = Field(default=None, allow_inf_nan=False)
    """A value that must be beaten: until then no epoch counts as better."""
    start_epoch: int = Field(default=0, ge=0)
    """So many epochs at the beginning of the run are not looked at."""
    restore_best: bool = False
    """When a phase was stopped, the next one goes on from the best weights by this monitor; unless `checkpoint` names a
    monitor of its own, the run's best epoch is chosen by this one too."""


class CheckpointConfig(MonitorConfig):
    """Which epoch is the best one."""

    monitor: Monitor | None = None  # type: ignore[assignment]
    """Metric that decides; the exported model is the best epoch's. By default that of `early_stopping` with
    `restore_best`, or the task's: top1, map or r2."""


class ModelCheckpointConfig(MonitorConfig):
    """Keep models of several epochs or steps, beside the run's best and last."""

    path: str | None = None
    """Pattern of file names, below `models/` in the run's folder unless absolute: `{epoch:02d}-{val/loss:.3f}`, with
    {epoch} (from 1), {step} and metrics; ends in .pdparams (added where it is missing) or .safetensors."""
    monitor: Monitor | None = None  # type: ignore[assignment]
    """Metric that decides which are best. By default the task's: top1, map or r2."""
    best_only: bool = False
    """Save only what is better than everything before."""
    weights_only: bool = True
    """false: keep the optimizer's state too, in `<name>.optimizer.safetensors`."""
    every_epochs: int = Field(default=1, ge=1)
    """Save every so many epochs."""
    every_steps: int | None = Field(default=None, ge=1)
    """Save every so many steps of the run, instead of epochs."""
    keep_last: int | None = Field(default=None, ge=1)
    """Keep the latest so many; older ones are deleted, unless `keep_best` keeps them."""
    keep_best: int | None = Field(default=None, ge=1)
    """Keep the best so many; with neither of the two, all are kept."""

    @model_validator(mode="after")
    def _files_can_be_named(self) -> ModelCheckpointConfig:
        if self.every_steps is not None and "every_epochs" in self.model_fields_set and self.every_epochs != 1:
            raise ValueError("every_epochs and every_steps both say when to save: use one of them")
        _ = self.pattern
        return self

    @property
    def pattern(self) -> str:
        """The whole pattern of file names."""
        return model_pattern(
            self.path,
            _MONITORS,
            best_only=self.best_only,
            every_steps=self.every_steps,
            keep_last=self.keep_last,
            keep_best=self.keep_best,
        )

    def metrics(self) -> tuple[str, ...]:
        """The metrics that stand in the pattern."""
        return tuple(name for name in fields_of(self.pattern, ("epoch", "step", *_MONITORS)) if "/" in name)


class LogFileConfig(Section):
    """A file with a line an epoch."""

    path: str | None = None
    """The file, in the run's folder unless absolute; by default `epochs.csv` or `epochs.jsonl`."""

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, value: str | None) -> str | None:
        if value is not None:
            check_place(value)
            if value in _OF_THE_RUN:
                raise ValueError(f"{value} is written by the run itself; give another name")
        return value


class PlateauConfig(MonitorConfig):
    """Reduce the learning rate when the metric no longer gets better."""

    factor: Fraction = 0.3
    """New rate = old rate x factor."""
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement before reducing."""
    cooldown: int = Field(default=0, ge=0)
    """Epochs to wait after a reduction."""
    min_lr: float = Field(default=0.0, ge=0)
    """The head's rate is never reduced below this; stages with a share of the rate keep their share of it."""


class CustomCallbackConfig(Section):
    """A callback of your own: any subclass of paddle.callbacks.Callback."""

    path: str = Field(pattern=_DOTTED)
    """Dotted path of the class, `package.module.Class`."""
    args: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of its constructor."""


_Switched = BeforeValidator(_switch)


class CallbacksConfig(Section):
    """What happens beside training; `true` takes the defaults, `false` leaves one out."""

    early_stopping: Annotated[EarlyStoppingConfig | None, _Switched] = None
    """Stop early."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Which epoch is best (best and last are always kept)."""
    reduce_on_plateau: Annotated[PlateauConfig | None, _Switched] = None
    """Reduce the learning rate on a plateau; switched on by `train.schedule: plateau`."""
    weight_averaging: Annotated[WeightAveragingConfig | None, BeforeValidator(spelled_as("kind")), _Switched] = None
    """Average the weights over training."""
    remote_monitor: Annotated[RemoteMonitorConfig | None, BeforeValidator(spelled_as("url"))] = None
    """Tell a server how the run goes."""
    model_checkpoint: Annotated[
        tuple[Annotated[ModelCheckpointConfig, BeforeValidator(spelled_as("path"))], ...], BeforeValidator(_several)
    ] = ()
    """Keep more models than the best and the last; one section or a list of them."""
    csv_logger: Annotated[LogFileConfig | None, BeforeValidator(spelled_as("path")), _Switched] = None
    """Write a table with a row an epoch."""
    jsonl_logger: Annotated[LogFileConfig | None, BeforeValidator(spelled_as("path")), _Switched] = None
    """Write a line of JSON an epoch."""
    functions: Annotated[dict[str, tuple[str, ...]], BeforeValidator(_hooks)] = Field(default_factory=dict)
    """Functions of your own, by hook of paddle.callbacks.Callback: `on_epoch_end: package.module.function`."""
    custom: tuple[Annotated[CustomCallbackConfig, BeforeValidator(spelled_as("path"))], ...] = ()
    """Callbacks of your own, by dotted path."""

    @property
    def deciding(self) -> EarlyStoppingConfig | CheckpointConfig:
        """The section that says which epoch is the run's best; its monitor may be None for the task's."""
        stopping = self.early_stopping
        follows = self.checkpoint.monitor is None and stopping is not None and stopping.restore_best
        return stopping if follows and stopping is not None else self.checkpoint

    def monitors(self) -> tuple[str, ...]:
        """All metrics that callbacks are told to look at."""
        watching = (self.early_stopping, self.checkpoint, self.reduce_on_plateau, *self.model_checkpoint)
        named = [callback.monitor for callback in watching if callback is not None and callback.monitor is not None]
        return (*named, *(name for callback in self.model_checkpoint for name in callback.metrics()))
