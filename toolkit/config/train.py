"""``train``, ``cache``, ``log`` and ``export``: how a run trains and what it saves."""

from __future__ import annotations

from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError

from toolkit.config.schedule import ScheduleConfig
from toolkit.config.section import Section


def _size(value: Any) -> ByteSize | None:
    if value is None:
        return None
    with suppress(ValidationError):
        size = TypeAdapter(ByteSize).validate_python(value)
        if size > 0 and not isinstance(value, bool):
            return size
    raise ValueError(f"expected a size, for example 20GB (found {value!r})")


Size = Annotated[ByteSize | None, BeforeValidator(_size)]
"""Bytes, written as ``20GB``, ``500 MB``, ``16GiB`` or a number; None: no limit."""


def _class_weights(value: Any) -> Any:
    """Convert class names to text: YAML reads the name in ``{5: 2.0}`` as a number."""
    if value is None or value in ("balanced", "effective"):
        return value
    if not isinstance(value, dict) or not value:
        raise ValueError(f"expected balanced, effective, or `class: weight` lines (found {value!r})")
    for name, weight in value.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < inf:
            raise ValueError(f"expected a number above 0 for the weight of {name} (found {weight!r})")
    return {str(name): weight for name, weight in value.items()}


ClassWeights = Annotated[Literal["balanced", "effective"] | dict[str, float] | None, BeforeValidator(_class_weights)]


def _lower(value: Any) -> Any:
    """Accept ``SGD`` and ``AdamW``, spelled as in the papers and in Paddle's classes."""
    return value.strip().lower() if isinstance(value, str) else value


Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainConfig(ScheduleConfig):
    """How to train."""

    epochs: int | None = Field(default=None, ge=1)
    """Number of epochs; by default the preset's."""
    lr: Annotated[float, Field(gt=0)] | Literal["auto"] | None = None
    """Learning rate of the head; by default the preset's for this optimizer; `auto`: a short search before training."""
    optimizer: Annotated[Literal["sgd", "momentum", "adam", "adamw"] | None, BeforeValidator(_lower)] = None
    """`momentum` is SGD with momentum; by default the preset's: momentum to train only a head, else adamw."""
    solver: Literal["auto", "sgd", "exact"] = "auto"
    """`exact`: phases with all stages frozen compute the optimal linear head instead of training it; `sgd`: they train
    it; `auto`: `exact` if the whole run trains only a linear head on cached features, and no other option (`epochs`,
    `lr`, a loss, ...) sets how to train it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of `momentum`."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """L2 penalty (decoupled for `adamw`) on all trainable weights, including biases and BatchNorm."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Fraction of the target spread evenly over all classes (training loss only)."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Maximum global norm of the gradients."""
    clip_value: float | None = Field(default=None, gt=0)
    """Clip each gradient element to [-clip_value, clip_value]."""
    loss: Literal["cross_entropy", "focal"] | None = None
    """`focal` concentrates on samples that are still wrong; by default cross entropy, or squared error for
    regression."""
    focal_gamma: Strength | None = None
    """`focal`: how much to down-weight correct samples, >= 0, where 0 is cross entropy; by default 2."""
    class_weights: ClassWeights = None
    """Weights in the training loss: `balanced`, inverse to the number of images of each class; `effective`, inverse to
    its effective number; or `class: weight` for some classes, with 1 for the others. Multilabel: weights of positives
    relative to negatives of each label."""
    effective_beta: Annotated[float, Field(ge=0, lt=1)] | None = None
    """`effective`: 0 weights all classes equally, and 1 would be the same as `balanced`; by default 0.999."""
    mixup: Strength = 0.0
    """Alpha of mixup, which blends each training image with another one, and their labels; 0: off, 0.2 is common."""
    cutmix: Strength = 0.0
    """Alpha of cutmix, which pastes a box from another training image into each; 0: off, 1 is common. If mixup is also
    on, each batch uses one of the two at random."""
    l2_sp: Strength = 0.0
    """Pull of trainable backbone weights towards the pretrained ones (L2-SP), instead of `weight_decay`; 0: off."""
    tta: int = Field(default=1, ge=1, le=64)
    """Test-time augmentation: number of views per image to average, in `eval.py` and in the exported model."""
    accumulate: int = Field(default=1, ge=1)
    """Number of parts in which to compute each batch for one update: same result (except BatchNorm), less memory."""
    on_nan: Literal["stop", "backoff"] = "stop"
    """If the loss becomes NaN or infinite, or explodes: stop, or return to the last good epoch with half the rate."""
    amp: Literal["off", "O1", "O2"] = "off"
    """Mixed precision on a GPU: O1 for most operations, O2 for all but the weight updates."""
    amp_dtype: Literal["float16", "bfloat16"] = "float16"
    """Data type of mixed precision; bfloat16 needs no loss scaling, but a GPU that supports it."""
    sync_batch_norm: bool = False
    """Several GPUs: compute BatchNorm statistics over the batches of all GPUs."""
    scale_lr: Literal["none", "linear", "sqrt"] = "none"
    """Several processes, each with `data.batch_size`: multiply the rate by their number, its square root, or 1."""
    resume: Literal["auto"] | None = None
    """`auto`: continue the newest unfinished run of this config, if there is one, instead of starting another."""
    processes: int = Field(default=1, ge=1)
    """CPU: number of processes on this machine that share each batch; faster if a network gains little from threads.
    For GPUs, see `paddle.distributed.launch` in the README."""
    fast_convolutions: Literal["auto"] | bool = "auto"
    """CPU: compute depthwise convolutions, and 3 x 3 ones of stride 1, with the kernels of the `fast` extra, which are
    faster than Paddle's; `auto`: if it is installed and the network has enough of them."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|gpu(:\d+)?)$")
    """auto, cpu, gpu or gpu:k."""

    @property
    def mixing(self) -> tuple[str, ...]:
        """The mixing methods in use: ``mixup``, ``cutmix``, both or none."""
        return tuple(name for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)) if alpha)


class CacheConfig(Section):
    """The feature cache: compute frozen stages only once."""

    enabled: Literal["auto"] | bool = "auto"
    """`auto`: if stages are frozen, and keeping their features is possible and cheaper than recomputing them."""
    dir: Path = Path("~/.cache/paddle-finetune/features")
    """Folder for features, shared by runs."""
    max_size: Size = ByteSize(20 * 10**9)
    """Maximum size of the features in `dir`; the least recently used are deleted first. null: no limit."""
    dtype: Literal["auto", "float16", "float32"] = "auto"
    """Data type on disk; `auto`: float32 for pooled features, float16 (half the size) for maps."""
    engine: Literal["auto", "paddle", "onnx", "dygraph"] = "auto"
    """Engine that computes features: Paddle Inference, ONNX Runtime or the network itself; `auto`: the fastest one."""
    views: int | None = Field(default=None, ge=1)
    """Number of augmented views of each training image to keep, seeded and used in turn; evaluation uses the centre
    crop."""
    fingerprint: Literal["stat", "content"] = "stat"
    """How to detect changed images: by size and time of each file, or by reading all files."""


class LogConfig(Section):
    """What to record."""

    visualdl: bool = True
    """Write a VisualDL log."""
    every: int = Field(default=10, ge=1)
    """Steps between two training points in VisualDL."""
    sample_images: int = Field(default=16, ge=0)
    """Number of augmented training images to show in VisualDL."""
    histograms: int = Field(default=0, ge=0)
    """Epochs between two histograms of the trainable weights and their gradients in VisualDL; 0: none."""
    graph: bool = True
    """Show the network's stages on VisualDL's graphs page."""
    mistakes: int = Field(default=0, ge=0)
    """Number of evaluation images to show after training, those with the worst errors of the best epoch."""
    embeddings: int = Field(default=0, ge=0)
    """Number of evaluation images whose features to show after training in VisualDL's high-dimensional view, >= 3."""


class ExportConfig(Section):
    """The inference model and the report."""

    enabled: bool = True
    """Export the best epoch after training."""
    examples: int = Field(default=0, ge=0)
    """Number of evaluation images for which to show the exported model's predictions."""
    report: bool = True
    """Write `report.html` after training."""
