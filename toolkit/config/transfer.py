"""``transfer``: what to keep of the pretrained network, and how fast to train the rest."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from toolkit.config.section import Section

Preset = Literal[
    "linear_probe",
    "shallow_probe",
    "last_stages",
    "most_stages",
    "all_stages",
    "all_stages_bold",
    "scratch",
    "multi_stage_probe",
    "custom",
    "auto",
]
PRESET_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "small_similar": "linear_probe",
        "small_different": "shallow_probe",
        "small_different/shallow_features": "shallow_probe",
        "small_different/finetune_most": "most_stages",
        "large_similar": "last_stages",
        "large_different": "all_stages_bold",
        "finetune": "all_stages",
    }
)
"""Earlier name of a preset -> its name. Most are cells of the matrix, and stand for the plan of that cell."""


def plan_of(name: Any, variant: str | None = None) -> Any:
    """Return a preset's name for an earlier one, which may have a variant; anything else unchanged."""
    name = f"{name}/{variant}" if variant else name
    return PRESET_ALIASES.get(name, name) if isinstance(name, str) else name


def aliases_in(transfer: Any) -> dict[str, str]:
    """Return the earlier names in a section ``transfer`` as it was written: what is written -> the preset's name.

    Args:
        transfer: The section, valid: a preset's name alone, or a mapping.
    """
    if isinstance(transfer, str):
        transfer = {"preset": transfer}
    if not isinstance(transfer, Mapping):
        return {}
    written = [_with_variant(transfer), *(transfer.get("compare") or ())]
    return {name: PRESET_ALIASES[name] for name in written if isinstance(name, str) and name in PRESET_ALIASES}


def _with_variant(transfer: Mapping[str, Any]) -> Any:
    """Return the preset as written, with its variant, which only ``small_different`` has."""
    preset, variant = transfer.get("preset"), transfer.get("variant")
    if variant is None:
        return preset
    if preset != "small_different":
        default = TransferConfig.model_fields["preset"].default
        raise ValueError(f"variant belongs to preset small_different, not to {plan_of(preset or default)}")
    name = f"{preset}/{variant}"
    if name not in PRESET_ALIASES:
        raise ValueError(f"variant is {variant!r}; expected shallow_features or finetune_most")
    return name


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

    preset: Preset = "all_stages"
    """What to train: `linear_probe`, `shallow_probe`, `last_stages`, `most_stages`, `all_stages`, `all_stages_bold`,
    `scratch`, `multi_stage_probe`, `custom`; `auto` follows the advisor."""
    size: Literal["small", "medium", "large"] | None = None
    """Instead of a preset, the size of the data: `small` freezes all stages, `medium` freezes most, `large` fine-tunes
    everything from the pretrained weights."""
    freeze: int | str | None = None
    """Freeze the first k stages, or up to and including a named stage; `all`, `none`; by default the preset's."""
    cut: int | str | None = None
    """Drop the stages above this one and attach the head there (`shallow_probe` chooses it automatically)."""
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
    def _aliases_become_plans(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        values = {key: inner for key, inner in value.items() if key != "variant"}
        preset = plan_of(_with_variant(value))
        if preset is not None:
            values["preset"] = preset
        if isinstance(values.get("compare"), (list, tuple)):
            values["compare"] = [plan_of(name) for name in values["compare"]]
        return values

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
