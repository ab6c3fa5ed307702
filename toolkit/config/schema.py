"""The configuration: what a YAML may say, one documented line a field.

Every model is frozen and refuses unknown keys. ``None`` means "decide for me"; what was decided is printed and
recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

__all__ = [
    "CacheConfig",
    "CallbacksConfig",
    "CheckpointConfig",
    "Config",
    "CustomCallbackConfig",
    "DataConfig",
    "EarlyStoppingConfig",
    "ExportConfig",
    "HeadConfig",
    "LogConfig",
    "ModelConfig",
    "PhaseConfig",
    "PlateauConfig",
    "Preset",
    "SourceConfig",
    "TrainConfig",
    "TransferConfig",
]

Preset = Literal[
    "small_similar",
    "small_different",
    "large_similar",
    "large_different",
    "linear_probe",
    "finetune",
    "scratch",
    "custom",
]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Metric = Literal["val/loss", "val/top1", "val/top5", "val/macro_f1", "train/loss", "train/top1"]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), use_attribute_docstrings=True)


def _spelled_as(key: str) -> Callable[[Any], Any]:
    """Let a section be written as one word: ``head: mlp`` for ``head: {type: mlp}``."""
    return lambda value: {key: value} if isinstance(value, str) else value


def _switch(value: Any) -> Any:
    """Let a callback be switched with ``true`` (its defaults) or ``false``."""
    return {} if value is True else None if value is False else value


def _of_validation(value: Any) -> Any:
    """A metric's plain name means that of the validation images."""
    return f"val/{value}" if isinstance(value, str) and "/" not in value else value


Monitor = Annotated[Metric, BeforeValidator(_of_validation)]


class SourceConfig(_Section):
    """A source task of your own: the network is first trained with this config, unless that run is there already."""

    config: Path
    """YAML of the source run, relative to the file that names it."""


class HeadConfig(_Section):
    """What is put on top of the backbone."""

    type: Literal["linear", "mlp"] = "linear"
    """`linear`: dropout and one dense layer; `mlp`: hidden layers in between."""
    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (256,)
    """Widths of the hidden layers (`mlp` only)."""
    activation: Literal["relu", "gelu", "tanh", "hardswish"] = "relu"
    """Activation after each hidden layer (`mlp` only)."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability of dropping a feature before each dense layer."""


class ModelConfig(_Section):
    """The network."""

    name: str
    """A network of the zoo: resnet50, mobilenet_v2, vgg16, ..."""
    pretrained: bool | SourceConfig | str = True
    """`true` (Paddle's ImageNet weights), `false`, a local file, a URL, or `{config: other.yaml}`."""
    head: Annotated[HeadConfig, BeforeValidator(_spelled_as("type"))] = HeadConfig()
    """The new top: `linear`, `mlp`, or a mapping."""


class DataConfig(_Section):
    """The images."""

    format: Literal[
        "folder", "cub200", "list", "digits", "cifar10", "cifar100", "mnist", "fashion_mnist", "flowers102"
    ] = "folder"
    """How images and labels are stored."""
    root: Path | None = None
    """Folder of the data set; not needed for `digits` and for sets that Paddle downloads."""
    image_size: int | None = Field(default=None, ge=8)
    """Side of the square input in pixels; by default the network's own (224 for most)."""
    crop_ratio: float | None = Field(default=None, gt=0, le=1)
    """Evaluation: centre crop as a fraction of the resized short side; by default 0.875, and 1 for tiny images."""
    batch_size: int = Field(default=32, ge=1)
    """Images a step."""
    workers: int | None = Field(default=None, ge=0)
    """Threads that read and augment images; by default one a core, at most 8. Results do not depend on it."""
    augment: Literal["auto", "none", "standard", "strong"] = "auto"
    """Training augmentation; `auto` takes what the preset wants."""
    flip: Literal["auto", "none", "horizontal", "both"] = "auto"
    """Random mirroring; `auto` mirrors left-right, except digits and letters."""
    classes: tuple[str, ...] | None = None
    """Use these classes only, in this order."""
    samples_per_class: int | None = Field(default=None, ge=1)
    """Use at most so many training images a class, drawn with `split_seed`."""
    val_fraction: Fraction = 0.2
    """Share of each class kept for validation where the data set has no split of its own."""
    test_fraction: float = Field(default=0.0, ge=0, lt=1)
    """Share of each class kept for a final test where the data set has no test part of its own."""
    split_seed: int = Field(default=0, ge=0)
    """Seed of the split and of `samples_per_class`, apart from the training seed."""
    on_bad_image: Literal["error", "skip"] = "error"
    """What to do with unreadable images: stop and list them, or leave them out and say so."""
    train_list: str = "train_list.txt"
    """`list`: file with a `path label` line an image, relative to root."""
    val_list: str = "val_list.txt"
    """`list`: the same for validation."""
    test_list: str | None = None
    """`list`: the same for a final test."""
    label_file: str | None = None
    """`list`: class names, a line each (`name` or `id name`)."""

    @model_validator(mode="before")
    @classmethod
    def _class_names_are_text(cls, value: Any) -> Any:
        """YAML reads ``classes: [5, 6]`` as numbers; class names are text."""
        if isinstance(value, dict) and isinstance(value.get("classes"), (list, tuple)):
            value = {**value, "classes": [str(name) for name in value["classes"]]}
        return value

    @model_validator(mode="after")
    def _fractions_leave_something(self) -> DataConfig:
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError("val_fraction + test_fraction must stay below 1")
        return self


class PhaseConfig(_Section):
    """One phase of training."""

    epochs: int = Field(ge=1)
    """Number of epochs."""
    freeze: int | str = 0
    """Stages that do not move: a number from the bottom, a stage's name (up to and with it), `all`, or `none`."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate of the head; by default `train.lr`."""
    backbone_lr: float | None = Field(default=None, ge=0, le=1)
    """Learning rate of the backbone as a fraction of the head's; by default the preset's."""
    name: str | None = None
    """Name shown in tables."""


class TransferConfig(_Section):
    """What to keep of the pretrained network, what to train, and how fast."""

    preset: Preset = "finetune"
    """A cell of the matrix small/large x similar/different, or linear_probe, finetune, scratch, custom."""
    variant: Literal["shallow_features", "finetune_most"] | None = None
    """`small_different` only: linear head on shallow features (default), or fine-tune most with strong augmentation."""
    freeze: int | str | None = None
    """Freeze the first k stages, or up to and with a named stage; `all`, `none`; by default the preset's."""
    cut: int | str | None = None
    """Drop the stages above this one, and put the head there (`shallow_features` chooses one by itself)."""
    backbone_lr: float | None = Field(default=None, ge=0, le=1)
    """Learning rate of pretrained stages as a fraction of the head's; by default the preset's."""
    lr_decay: float | None = Field(default=None, gt=0, le=1)
    """Each stage further from the head learns this much slower than the one above it."""
    lr_multipliers: dict[str, Annotated[float, Field(ge=0)]] = {}
    """Learning rate of named stages as a fraction of the head's; goes before everything else."""
    phases: tuple[PhaseConfig, ...] | None = None
    """Training in phases, for instance the head first, then more with a small rate; replaces train.epochs."""
    compare: tuple[Preset, ...] = ()
    """Presets that are trained beside this one on the same data, for a table at the end."""
    compare_seeds: int = Field(default=1, ge=1)
    """Number of seeds of that table (split and training: seed, seed + 1, ...)."""

    @model_validator(mode="after")
    def _variant_needs_its_preset(self) -> TransferConfig:
        if self.variant and self.preset != "small_different":
            raise ValueError(f"variant belongs to preset small_different, not to {self.preset}")
        return self


class TrainConfig(_Section):
    """How training goes."""

    epochs: int | None = Field(default=None, ge=1)
    """Number of epochs; by default the preset's."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate of the head; by default the preset's for this optimizer."""
    optimizer: Literal["sgd", "momentum", "adam", "adamw"] | None = None
    """`momentum` is SGD with momentum; by default the preset's: momentum for a head alone, else adamw."""
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


class CacheConfig(_Section):
    """The feature cache: frozen stages are computed once."""

    enabled: Literal["auto"] | bool = "auto"
    """`auto`: whenever stages are frozen and no random augmentation precedes them."""
    dir: Path = Path("~/.cache/paddle-finetune/features")
    """Where features are kept, shared by runs."""


class _Monitor(_Section):
    monitor: Monitor = "val/loss"
    """Metric to watch: val/loss, val/top1, val/top5, val/macro_f1, train/loss or train/top1."""
    mode: Literal["auto", "min", "max"] = "auto"
    """Whether less or more is better; `auto`: less for losses."""
    min_delta: float = Field(default=0.0, ge=0)
    """Smaller changes do not count as better."""


class EarlyStoppingConfig(_Monitor):
    """Stop when the metric no longer gets better."""

    patience: int = Field(default=10, ge=0)
    """Epochs without improvement before stopping; 0 stops at the first one."""


class CheckpointConfig(_Monitor):
    """Which epoch is the best one."""

    monitor: Monitor = "val/top1"
    """Metric that decides; the exported model is the best epoch's."""


class PlateauConfig(_Monitor):
    """Reduce the learning rate when the metric no longer gets better."""

    factor: Fraction = 0.3
    """New rate = old rate x factor."""
    patience: int = Field(default=3, ge=0)
    """Epochs without improvement before reducing."""
    cooldown: int = Field(default=0, ge=0)
    """Epochs to wait after a reduction."""
    min_lr: float = Field(default=0.0, ge=0)
    """The head's rate never goes below this."""


class CustomCallbackConfig(_Section):
    """A callback of your own: any subclass of paddle.callbacks.Callback."""

    path: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
    """Dotted path of the class, `package.module.Class`."""
    args: dict[str, Any] = {}
    """Keyword arguments of its constructor."""


_Switched = BeforeValidator(_switch)


class CallbacksConfig(_Section):
    """What happens beside training; `true` takes the defaults, `false` leaves one out."""

    early_stopping: Annotated[EarlyStoppingConfig | None, _Switched] = None
    """Stop early."""
    checkpoint: CheckpointConfig = CheckpointConfig()
    """Which epoch is best (best and last are always kept)."""
    reduce_on_plateau: Annotated[PlateauConfig | None, _Switched] = None
    """Reduce the learning rate on a plateau; switched on by `train.schedule: plateau`."""
    custom: tuple[Annotated[CustomCallbackConfig, BeforeValidator(_spelled_as("path"))], ...] = ()
    """Callbacks of your own, by dotted path."""


class LogConfig(_Section):
    """What is recorded."""

    visualdl: bool = True
    """Write a VisualDL record."""
    every: int = Field(default=10, ge=1)
    """Steps between two training points in VisualDL."""
    sample_images: int = Field(default=16, ge=0)
    """Augmented training images shown in VisualDL."""


class ExportConfig(_Section):
    """The inference model, and the report."""

    enabled: bool = True
    """Export the best epoch after training."""
    examples: int = Field(default=0, ge=0)
    """Show the exported model's predictions for so many evaluation images."""
    report: bool = True
    """Write `report.html` after training."""


class Config(_Section):
    """One job: a network, data, a plan, and how to train it."""

    name: str = Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")
    """Name of the run, without slashes and a leading dot; its folder is `output_dir/name`."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order and augmentation."""
    output_dir: Path = Path("runs")
    """Where runs are kept."""
    model: Annotated[ModelConfig, BeforeValidator(_spelled_as("name"))]
    """The network."""
    data: DataConfig = DataConfig()
    """The images."""
    transfer: Annotated[TransferConfig, BeforeValidator(_spelled_as("preset"))] = TransferConfig()
    """What moves."""
    train: TrainConfig = TrainConfig()
    """How training goes."""
    cache: CacheConfig = CacheConfig()
    """The feature cache."""
    callbacks: CallbacksConfig = CallbacksConfig()
    """What happens beside training."""
    log: LogConfig = LogConfig()
    """What is recorded."""
    export: ExportConfig = ExportConfig()
    """The inference model, and the report."""
