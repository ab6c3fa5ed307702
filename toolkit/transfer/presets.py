"""The presets as a table: one row a freeze plan.

Fractions count stages from the bottom of the network. Learning rates are the head's, for batches of about 32 images.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from toolkit.errors import ConfigError

__all__ = ["PRESETS", "PresetSpec", "Rates", "get_preset"]


@dataclass(frozen=True)
class Rates:
    """Default learning rate of the head with each optimizer."""

    sgd: float
    momentum: float
    adam: float
    adamw: float

    def of(self, optimizer: str) -> float:
        """The rate for ``train.optimizer``."""
        rate: float = getattr(self, optimizer)
        return rate


HEAD_LR = Rates(sgd=0.05, momentum=0.01, adam=3e-3, adamw=3e-3)
"""For a head alone, on features that do not move."""
SHALLOW_LR = Rates(sgd=0.2, momentum=0.05, adam=1e-2, adamw=1e-2)
"""The same on features from the middle of a network, which are fewer."""
TUNING_LR = Rates(sgd=0.05, momentum=0.01, adam=1e-3, adamw=1e-3)
"""For a head whose backbone moves with it."""
SCRATCH_LR = Rates(sgd=0.1, momentum=0.02, adam=1e-3, adamw=1e-3)
"""For a network that starts from random weights."""

_CS231N = "cs231n notes, Transfer Learning"
_YOSINSKI = "Yosinski et al. 2014, arXiv:1411.1792"
_KORNBLITH = "Kornblith et al. 2019, arXiv:1805.08974"


@dataclass(frozen=True)
class PresetSpec:
    """One row: how a pretrained network is used.

    Attributes:
        name: The preset's name in a config.
        description: One line for tables and help texts.
        source: Where the advice comes from.
        freeze: Share of the kept stages that do not move, in [0, 1].
        epochs: Number of epochs.
        variant: Name of the variant, for a preset that has several.
        cut: Share of the stages that is kept, in (0, 1]; None keeps all.
        augment: Training augmentation: ``none``, ``standard`` or ``strong``.
        backbone_lr: Learning rate of stages that move, as a fraction of the head's, in (0, 1].
        lr_decay: Factor from each stage to the one below it, in (0, 1].
        pretrained: False for a network that starts from random weights.
        head_lr: Learning rate of the head while all stages are frozen.
        tuning_lr: Learning rate of the head while stages move too.
    """

    name: str
    description: str
    source: str
    freeze: float
    epochs: int
    variant: str | None = None
    cut: float | None = None
    augment: str = "standard"
    backbone_lr: float = 0.1
    lr_decay: float = 1.0
    pretrained: bool = True
    head_lr: Rates = HEAD_LR
    tuning_lr: Rates = TUNING_LR

    @property
    def title(self) -> str:
        """The name, with its variant."""
        return f"{self.name}/{self.variant}" if self.variant else self.name


PRESETS: tuple[PresetSpec, ...] = (
    PresetSpec(
        name="small_similar",
        description="few images, close to ImageNet: freeze the backbone, train a head on its features",
        source=_CS231N,
        freeze=1.0,
        epochs=30,
        augment="none",
    ),
    PresetSpec(
        name="small_different",
        variant="shallow_features",
        description="few images, far from ImageNet: a head on frozen features from the middle of the backbone",
        source=f"{_CS231N}; {_YOSINSKI}",
        freeze=1.0,
        cut=0.4,
        epochs=30,
        augment="none",
        head_lr=SHALLOW_LR,
    ),
    PresetSpec(
        name="small_different",
        variant="finetune_most",
        description="few images, far from ImageNet: fine-tune all but the first stages, with strong augmentation",
        source=_YOSINSKI,
        freeze=0.25,
        epochs=25,
        augment="strong",
    ),
    PresetSpec(
        name="large_similar",
        description="many images, close to ImageNet: freeze most, fine-tune the last stages and the head",
        source=_CS231N,
        freeze=0.75,
        epochs=15,
    ),
    PresetSpec(
        name="large_different",
        description="many images, far from ImageNet: start from the pretrained weights, fine-tune everything",
        source=_CS231N,
        freeze=0.0,
        epochs=15,
        backbone_lr=0.3,
    ),
    PresetSpec(
        name="linear_probe",
        description="how good the features are as they stand: a head on the frozen backbone",
        source="Alain & Bengio 2016, arXiv:1610.01644",
        freeze=1.0,
        epochs=30,
        augment="none",
    ),
    PresetSpec(
        name="finetune",
        description="fine-tune everything, the backbone at a tenth of the head's rate",
        source=_KORNBLITH,
        freeze=0.0,
        epochs=15,
    ),
    PresetSpec(
        name="scratch",
        description="random weights, everything trained at one rate: what pretraining is measured against",
        source=_KORNBLITH,
        freeze=0.0,
        epochs=40,
        backbone_lr=1.0,
        pretrained=False,
        tuning_lr=SCRATCH_LR,
    ),
    PresetSpec(
        name="custom",
        description="what the config says: freeze, cut, backbone_lr, lr_decay, lr_multipliers, phases",
        source="the config",
        freeze=0.0,
        epochs=15,
    ),
)
"""Every preset; the first row of a name is its default variant."""


def get_preset(name: str, variant: str | None = None) -> PresetSpec:
    """Find a row.

    Args:
        name: A preset's name.
        variant: One of its variants; None takes the first.

    Raises:
        ConfigError: There is no such row.
    """
    rows = [row for row in PRESETS if row.name == name]
    if not rows:
        known = sorted({row.name for row in PRESETS})
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"transfer.preset: unknown preset {name!r}; known are {', '.join(known)}",
            hint=f"did you mean {near[0]}?" if near else None,
        )
    found = next((row for row in rows if variant in (None, row.variant)), None)
    if found is None:
        known = [row.variant for row in rows if row.variant]
        raise ConfigError(
            f"transfer.variant: preset {name} has no variant {variant!r}",
            hint=f"known are {', '.join(known)}" if known else "leave variant out",
        )
    return found
