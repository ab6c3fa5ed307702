"""The presets as a table: one row per freeze plan.

Fractions count stages from the bottom of the network. Learning rates are the head's, for batches of about 32.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from toolkit.config import TransferConfig, plan_of
from toolkit.core.console import command
from toolkit.core.errors import ConfigError
from toolkit.core.names import did_you_mean
from toolkit.tasks import TASKS, Loss, TaskName


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
"""For a head alone, on fixed features that are not standardised."""
SHALLOW_LR = Rates(sgd=0.2, momentum=0.05, adam=1e-2, adamw=1e-2)
"""The same, on features from the middle of a network, which are fewer."""
TUNING_LR = Rates(sgd=0.05, momentum=0.01, adam=1e-3, adamw=1e-3)
"""For a head trained together with the backbone."""
HEAD_FIRST = 10
"""Epochs of the head alone before fine-tuning: on cached features they cost next to nothing."""
SCRATCH_LR = Rates(sgd=0.1, momentum=0.02, adam=1e-3, adamw=1e-3)
"""For a network that starts from random weights."""
_LABELLED = Rates(sgd=50.0, momentum=5.0, adam=0.1, adamw=0.1)
DENSE_LR: Mapping[Loss, Rates] = MappingProxyType(
    {
        "cross_entropy": _LABELLED,
        "binary_cross_entropy": _LABELLED,
        "squared_error": Rates(sgd=0.5, momentum=0.1, adam=0.03, adamw=0.03),
    }
)
"""For a single dense layer on standardised features; ``dense_lr`` derives rates from them."""


def dense_lr(optimizer: str, task: TaskName, features: int, outputs: int) -> float:
    """Learning rate of a single dense layer trained alone on standardised features.

    The mean squared norm of the features is their number, and the curvature that plain descent meets grows with it. The
    loss over several labels or targets is their mean, so each pulls with its share only. Adam's steps are independent
    of scale; their accumulated effect on an output grows with the square root of the number of features.

    Args:
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        task: Task, which determines what the outputs are.
        features: Number of features.
        outputs: Number of classes, labels or targets.
    """
    rate = DENSE_LR[TASKS[task].loss].of(optimizer)
    if optimizer.startswith("adam"):
        return rate / math.sqrt(features)
    return rate / features * (outputs if TASKS[task].averages_outputs else 1)


_CS231N = "cs231n notes, Transfer Learning"
_YOSINSKI = "Yosinski et al. 2014, arXiv:1411.1792"
_KORNBLITH = "Kornblith et al. 2019, arXiv:1805.08974"
_EVCI = "Evci et al. 2022, arXiv:2201.03529"


@dataclass(frozen=True)
class PresetSpec:
    """One row: a way to use a pretrained network.

    Attributes:
        name: The preset's name in a config.
        description: A single line for tables and help texts.
        source: Where the advice comes from.
        freeze: Share of the kept stages to freeze, in [0, 1].
        epochs: Number of epochs.
        cut: Share of the stages to keep, in (0, 1]; None keeps all.
        augment: Training augmentation: ``none``, ``standard`` or ``strong``.
        backbone_lr: Learning rate of moving stages, as a fraction of the head's, in (0, 1].
        lr_decay: Factor from each stage to the one below it, in (0, 1].
        pretrained: False for a network that starts from random weights.
        head_lr: Learning rate of the head while all stages are frozen, unless ``dense_lr`` applies.
        tuning_lr: Learning rate of the head while stages move as well.
        head_first: Epochs of the head alone that come first, unless the config sets how long to train.
        gradual_unfreezing: Whether moving stages are unfrozen from the top, one group per epoch.
        batch_norm: BatchNorm statistics of moving stages: ``frozen``, as pretraining left them, or ``train``.
        head_stages: Stages whose pooled features the head reads: ``last``, ``upper_half`` or ``all``.
    """

    name: str
    description: str
    source: str
    freeze: float
    epochs: int
    cut: float | None = None
    augment: str = "standard"
    backbone_lr: float = 0.1
    lr_decay: float = 1.0
    pretrained: bool = True
    head_lr: Rates = HEAD_LR
    tuning_lr: Rates = TUNING_LR
    head_first: int = 0
    gradual_unfreezing: bool = False
    batch_norm: str = "frozen"
    head_stages: str = "last"


PRESETS: tuple[PresetSpec, ...] = (
    PresetSpec(
        name="linear_probe",
        description="freeze the backbone, train a head on its features",
        source=f"{_CS231N}; Alain & Bengio 2016, arXiv:1610.01644",
        freeze=1.0,
        epochs=30,
        augment="none",
    ),
    PresetSpec(
        name="shallow_probe",
        description="train a head on frozen features from the middle of the backbone",
        source=f"{_CS231N}; {_YOSINSKI}",
        freeze=1.0,
        cut=0.4,
        epochs=30,
        augment="none",
        head_lr=SHALLOW_LR,
    ),
    PresetSpec(
        name="last_stages",
        description="freeze most, fine-tune the last stages and the head",
        source=_CS231N,
        freeze=0.75,
        epochs=15,
        head_first=HEAD_FIRST,
    ),
    PresetSpec(
        name="most_stages",
        description="fine-tune all but the first stages, with strong augmentation",
        source=_YOSINSKI,
        freeze=0.25,
        epochs=25,
        augment="strong",
        head_first=HEAD_FIRST,
    ),
    PresetSpec(
        name="all_stages",
        description="fine-tune everything, the backbone at a tenth of the head's rate",
        source=_KORNBLITH,
        freeze=0.0,
        epochs=15,
        head_first=HEAD_FIRST,
    ),
    PresetSpec(
        name="all_stages_bold",
        description="fine-tune everything at a higher rate, BatchNorm statistics included",
        source=_CS231N,
        freeze=0.0,
        epochs=15,
        backbone_lr=0.3,
        head_first=HEAD_FIRST,
        batch_norm="train",
    ),
    PresetSpec(
        name="scratch",
        description="train everything from random weights, at one rate: the baseline for pretraining",
        source=_KORNBLITH,
        freeze=0.0,
        epochs=40,
        backbone_lr=1.0,
        pretrained=False,
        batch_norm="train",
        tuning_lr=SCRATCH_LR,
    ),
    PresetSpec(
        name="multi_stage_probe",
        description="a head on frozen features of the upper half of the stages",
        source=_EVCI,
        freeze=1.0,
        epochs=30,
        augment="none",
        head_stages="upper_half",
    ),
    PresetSpec(
        name="custom",
        description="whatever the config sets: freeze, cut, backbone_lr, lr_decay, lr_multipliers, phases",
        source="the config",
        freeze=0.0,
        epochs=15,
    ),
)
"""Every preset."""
SIZES: Mapping[str, str] = MappingProxyType(
    {"small": "linear_probe", "medium": "last_stages", "large": "all_stages_bold"}
)
"""``transfer.size``, an alternative to a preset -> its preset; the similarity of the data does not matter."""


def spec_of(transfer: TransferConfig) -> PresetSpec:
    """The row that a config selects, by ``size`` or by ``preset``.

    Raises:
        ConfigError: ``auto`` has not been replaced yet.
    """
    if transfer.preset == "auto":
        raise ConfigError(
            "transfer.preset: auto is not a plan yet: the advisor chooses one from the data",
            hint=f"{command('advise', '-c', 'YAML', '--out', 'recommended.yaml')} writes a config with its choice",
        )
    return get_preset(SIZES[transfer.size] if transfer.size else transfer.preset)


def get_preset(name: str) -> PresetSpec:
    """Find a row.

    Args:
        name: A preset's name, or an earlier one.

    Raises:
        ConfigError: No such row.
    """
    preset = next((row for row in PRESETS if row.name == plan_of(name)), None)
    if preset is None:
        known = sorted(row.name for row in PRESETS)
        raise ConfigError(
            f"transfer.preset: unknown preset {name!r}; known are {', '.join(known)}",
            hint=did_you_mean(name, known),
        )
    return preset


def share_of(fraction: float, total: int) -> int:
    """Number of stages for a preset's fraction.

    Args:
        fraction: In [0, 1].
        total: Number of stages, at least 1.

    Returns:
        The fraction rounded to whole stages, halves up; less than all of them while the fraction is less than 1.
    """
    if fraction >= 1:
        return total
    return min(int(fraction * total + 0.5), total - 1)
