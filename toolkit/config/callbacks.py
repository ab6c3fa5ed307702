"""``callbacks``: what happens beside training."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from toolkit.config.section import Fraction, Section, spelled_as

__all__ = [
    "CallbacksConfig",
    "CheckpointConfig",
    "CustomCallbackConfig",
    "EarlyStoppingConfig",
    "MonitorConfig",
    "PlateauConfig",
]


def _switch(value: Any) -> Any:
    """Let a callback be switched with ``true`` (its defaults) or ``false``."""
    return {} if value is True else None if value is False else value


def _of_validation(value: Any) -> Any:
    """A metric's plain name means that of the validation images."""
    return f"val/{value}" if isinstance(value, str) and "/" not in value else value


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
]
Monitor = Annotated[MonitorName, BeforeValidator(_of_validation)]


class MonitorConfig(Section):
    """What callbacks that watch a metric have in common."""

    monitor: Monitor = "val/loss"
    """Metric to watch: train/loss, val/loss; classification: train/top1, val/top1, val/top5, val/macro_f1; multilabel:
    val/map, val/macro_f1, val/micro_f1; regression: val/r2, val/mae, val/mse."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better; `auto` knows."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smaller changes do not count as better."""


class EarlyStoppingConfig(MonitorConfig):
    """Stop when the metric no longer gets better."""

    patience: int = Field(default=10, ge=0)
    """Epochs without improvement before stopping; 0 stops at the first one."""


class CheckpointConfig(MonitorConfig):
    """Which epoch is the best one."""

    monitor: Monitor | None = None  # type: ignore[assignment]
    """Metric that decides; the exported model is the best epoch's. By default the task's: top1, map or r2."""


class PlateauConfig(MonitorConfig):
    """Reduce the learning rate when the metric no longer gets better."""

    factor: Fraction = 0.3
    """New rate = old rate x factor."""
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement before reducing."""
    cooldown: int = Field(default=0, ge=0)
    """Epochs to wait after a reduction."""
    min_lr: float = Field(default=0.0, ge=0)
    """The head's rate never goes below this."""


class CustomCallbackConfig(Section):
    """A callback of your own: any subclass of paddle.callbacks.Callback."""

    path: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
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
    custom: tuple[Annotated[CustomCallbackConfig, BeforeValidator(spelled_as("path"))], ...] = ()
    """Callbacks of your own, by dotted path."""
