"""``train``, ``cache``, ``log`` and ``export``: how a run goes and what it leaves behind."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError

from toolkit.config.section import Fraction, Section

__all__ = ["CacheConfig", "ExportConfig", "LogConfig", "TrainConfig"]


def _size(value: Any) -> ByteSize | None:
    if value is None:
        return None
    with suppress(ValidationError):
        size = TypeAdapter(ByteSize).validate_python(value)
        if size > 0 and not isinstance(value, bool):
            return size
    raise ValueError(f"expected a size, for instance 20GB (found {value!r})")


Size = Annotated[ByteSize | None, BeforeValidator(_size)]
"""Bytes, written as ``20GB``, ``500 MB``, ``16GiB`` or a number; None: no limit."""


class TrainConfig(Section):
    """How training goes."""

    epochs: int | None = Field(default=None, ge=1)
    """Number of epochs; by default the preset's."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate of the head; by default the preset's for this optimizer."""
    optimizer: Literal["sgd", "momentum", "adam", "adamw"] | None = None
    """`momentum` is SGD with momentum; by default the preset's: momentum for a head alone, else adamw."""
    solver: Literal["sgd", "exact"] = "sgd"
    """`exact`: phases with all stages frozen compute the best linear head in place of training it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of `momentum`."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """L2 penalty (decoupled for `adamw`)."""
    schedule: Literal["cosine", "step", "constant", "plateau"] = "cosine"
    """Learning rate over time; `plateau` reduces it when `callbacks.reduce_on_plateau` says so."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs of linear warm-up, in steps; fractions allowed."""
    step_epochs: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.5, 0.75)
    """`step`: where the rate drops, as fractions of the phase."""
    step_gamma: Fraction = 0.1
    """`step`: factor of each drop."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes (training loss only)."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Clip the global norm of the gradients."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|gpu(:\d+)?)$")
    """auto, cpu, gpu or gpu:k."""


class CacheConfig(Section):
    """The feature cache: frozen stages are computed once."""

    enabled: Literal["auto"] | bool = "auto"
    """`auto`: where stages are frozen and their features can be kept and cost less than computing them each epoch."""
    dir: Path = Path("~/.cache/paddle-finetune/features")
    """Where features are kept, shared by runs."""
    max_size: Size = ByteSize(20 * 10**9)
    """Most that the features in `dir` may take; the least recently used go first. null: no limit."""
    dtype: Literal["auto", "float16", "float32"] = "auto"
    """Numbers on disk; `auto`: float32 for pooled features, float16 (half the size) for maps."""
    engine: Literal["auto", "paddle", "onnx", "dygraph"] = "auto"
    """What computes features: Paddle Inference, ONNX Runtime or the network itself; `auto`: the fastest at hand."""
    views: int | None = Field(default=None, ge=1)
    """Keep so many seeded augmented views of each training image, used in turn; evaluation uses the centre crop."""
    fingerprint: Literal["stat", "content"] = "stat"
    """How changed images are noticed: by size and time of each file, or by reading all of them."""


class LogConfig(Section):
    """What is recorded."""

    visualdl: bool = True
    """Write a VisualDL record."""
    every: int = Field(default=10, ge=1)
    """Steps between two training points in VisualDL."""
    sample_images: int = Field(default=16, ge=0)
    """Augmented training images shown in VisualDL."""


class ExportConfig(Section):
    """The inference model, and the report."""

    enabled: bool = True
    """Export the best epoch after training."""
    examples: int = Field(default=0, ge=0)
    """Show the exported model's predictions for so many evaluation images."""
    report: bool = True
    """Write `report.html` after training."""
