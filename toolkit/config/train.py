"""``train``, ``cache``, ``log`` and ``export``: how a run goes and what it leaves behind."""

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
    raise ValueError(f"expected a size, for instance 20GB (found {value!r})")


Size = Annotated[ByteSize | None, BeforeValidator(_size)]
"""Bytes, written as ``20GB``, ``500 MB``, ``16GiB`` or a number; None: no limit."""


def _class_weights(value: Any) -> Any:
    """YAML reads ``{5: 2.0}`` as a number; names of classes are text."""
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
    """``SGD`` and ``AdamW``, as their papers and Paddle's classes spell them, are known."""
    return value.strip().lower() if isinstance(value, str) else value


Strength = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class TrainConfig(ScheduleConfig):
    """How training goes."""

    epochs: int | None = Field(default=None, ge=1)
    """Number of epochs; by default the preset's."""
    lr: Annotated[float, Field(gt=0)] | Literal["auto"] | None = None
    """Learning rate of the head; by default the preset's for this optimizer; `auto`: a short search before training."""
    optimizer: Annotated[Literal["sgd", "momentum", "adam", "adamw"] | None, BeforeValidator(_lower)] = None
    """`momentum` is SGD with momentum; by default the preset's: momentum for a head alone, else adamw."""
    solver: Literal["auto", "sgd", "exact"] = "auto"
    """`exact`: phases with all stages frozen compute the best linear head instead of training it; `sgd`: they train
    it; `auto`: `exact` where nothing but a linear head on kept features moves in the whole run, and nothing else in the
    config (`epochs`, `lr`, a loss, ...) says how to train it."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Momentum of `momentum`."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """L2 penalty (decoupled for `adamw`) on all weights that move, biases and BatchNorm's included."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of the target spread over all classes (training loss only)."""
    clip_norm: float | None = Field(default=None, gt=0)
    """Clip the global norm of the gradients."""
    clip_value: float | None = Field(default=None, gt=0)
    """Clip each number of the gradients to [-clip_value, clip_value]."""
    loss: Literal["cross_entropy", "focal"] | None = None
    """`focal` turns the loss to the samples that are still wrong; by default cross entropy, for regression the squared
    error."""
    focal_gamma: Strength | None = None
    """`focal`: how much less right samples count, 0 (not less: cross entropy) or more; by default 2."""
    class_weights: ClassWeights = None
    """Weights in the loss (training only): `balanced`, inversely to the number of images of each class; `effective`, to
    its effective number; or `class: weight` for some, 1 for the others. Multilabel: weights of the positives of each
    label against its negatives."""
    effective_beta: Annotated[float, Field(ge=0, lt=1)] | None = None
    """`effective`: 0 weighs all classes alike, 1 would weigh as `balanced`; by default 0.999."""
    mixup: Strength = 0.0
    """Alpha of mixup: each training image is mixed with another one, and so are their labels; 0: off, 0.2 is usual."""
    cutmix: Strength = 0.0
    """Alpha of cutmix: a box of another training image covers part of each; 0: off, 1 is usual. With both, each batch
    takes one of the two by lot."""
    l2_sp: Strength = 0.0
    """Pull of backbone weights that move towards the pretrained ones (L2-SP), instead of `weight_decay`; 0: off."""
    tta: int = Field(default=1, ge=1, le=64)
    """Test-time augmentation: views of an image whose outputs are averaged, in `eval.py` and by the exported model."""
    accumulate: int = Field(default=1, ge=1)
    """Compute each batch in so many parts, as one update: the same result (but for BatchNorm) in less memory."""
    on_nan: Literal["stop", "backoff"] = "stop"
    """When the loss is no number any more or explodes: stop, or go back to the last good epoch with half the rate."""
    amp: Literal["off", "O1", "O2"] = "off"
    """Mixed precision on a GPU: O1 for most operations, O2 for all but the weights' updates."""
    amp_dtype: Literal["float16", "bfloat16"] = "float16"
    """Numbers of mixed precision; bfloat16 needs no loss scaling, and a GPU that has it."""
    sync_batch_norm: bool = False
    """Several GPUs: BatchNorm statistics over the batches of all of them."""
    scale_lr: Literal["none", "linear", "sqrt"] = "none"
    """Several processes, with batches of `data.batch_size`: multiply the rate by their number, its root or not."""
    resume: Literal["auto"] | None = None
    """`auto`: go on with the newest unfinished run of this config, if there is one, instead of beginning another."""
    processes: int = Field(default=1, ge=1)
    """CPU: share each batch among so many processes of this machine; faster where a network gains little from threads.
    For GPUs see `paddle.distributed.launch` in the README."""
    fast_convolutions: Literal["auto"] | bool = "auto"
    """CPU: compute depthwise convolutions, and 3 x 3 ones of stride 1, by the kernels of the `fast` extra, which are
    faster than Paddle's; `auto`: where it is installed and the network has enough of them."""
    device: str = Field(default="auto", pattern=r"^(auto|cpu|gpu(:\d+)?)$")
    """auto, cpu, gpu or gpu:k."""

    @property
    def mixing(self) -> tuple[str, ...]:
        """Names of the ways in which training images are mixed: ``mixup``, ``cutmix``, both or none."""
        return tuple(name for name, alpha in (("mixup", self.mixup), ("cutmix", self.cutmix)) if alpha)


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
    histograms: int = Field(default=0, ge=0)
    """Epochs between two histograms of the trainable weights and their gradients in VisualDL; 0: none."""
    graph: bool = True
    """Show the network's stages on VisualDL's page of graphs."""
    mistakes: int = Field(default=0, ge=0)
    """After training, show so many of the evaluation images that the best epoch is most wrong about."""
    embeddings: int = Field(default=0, ge=0)
    """After training, show the features of so many evaluation images in VisualDL's high-dimensional view; 3 or more."""


class ExportConfig(Section):
    """The inference model, and the report."""

    enabled: bool = True
    """Export the best epoch after training."""
    examples: int = Field(default=0, ge=0)
    """Show the exported model's predictions for so many evaluation images."""
    report: bool = True
    """Write `report.html` after training."""
