"""``transfer``: what to keep of the pretrained network, and how fast to train the rest."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toolkit.config.section import Section

Preset = Literal[
    "small_similar",
    "small_different",
    "large_similar",
    "large_different",
    "linear_probe",
    "finetune",
    "scratch",
    "multi_stage_probe",
    "custom",
    "auto",
]


class PhaseConfig(Section):
    """One phase of training."""

    epochs: int = Field(ge=1)
    """Number of epochs."""
    freeze: int | str = 0
    """Stages to freeze: a number from the bottom, a stage's name (up to and including it), `all`, or `none`."""
    lr: float | None = Field(default=None, gt=0)
    """Learning rate of the head; by default `train.lr`."""
    backbone_lr: float | None = Field(default=None, ge=0, le=1)
    """Learning rate of the backbone as a fraction of the head's; by default the preset's."""
    lr_decay: float | None = Field(default=None, gt=0, le=1)
    """Factor of the learning rate for each stage further from the head; by default the preset's."""
    name: str | None = None
    """Name shown in tables."""


class TransferConfig(Section):
    """What to keep of the pretrained network, what to train, and how fast."""

    preset: Preset = "finetune"
    """A cell of the matrix small/large x similar/different, or linear_probe, finetune, scratch, multi_stage_probe,
    custom; `auto` follows the advisor."""
    size: Literal["small", "medium", "large"] | None = None
    """Instead of a preset, the size of the data: `small` freezes all stages, `medium` freezes most, `large` fine-tunes
    everything from the pretrained weights."""
    variant: Literal["shallow_features", "finetune_most"] | None = None
    """`small_different` only: linear head on shallow features (default), or fine-tune most stages with strong
    augmentation."""
    freeze: int | str | None = None
    """Freeze the first k stages, or up to and including a named stage; `all`, `none`; by default the preset's."""
    cut: int | str | None = None
    """Drop the stages above this one and attach the head there (`shallow_features` chooses it automatically)."""
    backbone_lr: float | None = Field(default=None, ge=0, le=1)
    """Learning rate of pretrained stages as a fraction of the head's; by default the preset's."""
    lr_decay: float | None = Field(default=None, gt=0, le=1)
    """Factor of the learning rate for each stage further from the head."""
    lr_multipliers: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Learning rate of named stages as a fraction of the head's; overrides everything else."""
    phases: tuple[PhaseConfig, ...] | None = None
    """Training in phases, for example the head first, then more stages at a small rate; replaces train.epochs."""
    head_first: int | None = Field(default=None, ge=0)
    """Number of epochs to train only the head, on features, before the rest (linear probing, then fine-tuning)."""
    gradual_unfreezing: bool | None = None
    """Unfreeze from the top, one group of stages per epoch, until all stages that the preset trains are trainable."""
    batch_norm: Literal["frozen", "train"] | None = None
    """BatchNorm statistics of trainable stages: those of pretraining (`frozen`), or of the new images (`train`); by
    default the preset's."""
    compare: tuple[Preset, ...] = ()
    """Further presets to train on the same data, for a comparison table at the end."""
    compare_seeds: int = Field(default=1, ge=1)
    """Number of seeds in that table (split and training: seed, seed + 1, ...)."""

    @model_validator(mode="before")
    @classmethod
    def _size_replaces_the_preset(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("size") is None:
            return value
        preset = value.get("preset", "custom")
        if preset != "custom":
            raise ValueError(f"size already sets what to freeze: leave out either size or preset ({preset})")
        return {**value, "preset": "custom"}

    @model_validator(mode="after")
    def _compared_presets_are_plans(self) -> TransferConfig:
        if "auto" in self.compare:
            raise ValueError("compare: auto selects one of the others, so it cannot be compared with them")
        return self

    @model_validator(mode="after")
    def _variant_needs_its_preset(self) -> TransferConfig:
        if self.variant and self.preset != "small_different":
            raise ValueError(f"variant belongs to preset small_different, not to {self.preset}")
        return self
