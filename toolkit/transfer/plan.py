"""From a preset and the user's wishes to a plan for one network: what is frozen, and who learns how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.config import PhaseConfig, TrainConfig, TransferConfig
from toolkit.errors import ConfigError
from toolkit.stage import StageInfo
from toolkit.task import TaskName
from toolkit.transfer.presets import PresetSpec, get_preset
from toolkit.transfer.stages import count_of, indices_of, share_of

__all__ = ["PhasePlan", "Plan", "resolve_cut", "resolve_plan"]

_LR_STRETCH = 4
"""A learning rate above so many times the usual one is worth a note, when the optimizer is the preset's choice."""


@dataclass(frozen=True)
class PhasePlan:
    """One phase of training.

    Attributes:
        name: Name shown in tables.
        epochs: Number of epochs.
        frozen: Number of stages, from the bottom, whose weights and statistics do not move.
        lr: Learning rate of the head.
        multipliers: One number a kept stage: its learning rate as a fraction of the head's; 0.0 when frozen.
        solver: ``sgd``: trained by the optimizer; ``exact``: the head's optimum is computed, in one epoch.
    """

    name: str
    epochs: int
    frozen: int
    lr: float
    multipliers: tuple[float, ...]
    solver: str = "sgd"


@dataclass(frozen=True)
class Plan:
    """A preset resolved for one network.

    Attributes:
        preset: Name of the preset.
        variant: Its variant, or None.
        cut: Number of stages kept, or None when nothing is dropped.
        augment: Training augmentation that the preset wants: ``none``, ``standard`` or ``strong``.
        phases: At least one phase.
        pretrained: False when the network is to start from random weights.
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        notes: Lines worth telling the user, for instance a setting that has no effect.
    """

    preset: str
    variant: str | None
    cut: int | None
    augment: str
    phases: tuple[PhasePlan, ...]
    pretrained: bool
    optimizer: str
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The preset's name, with its variant."""
        return f"{self.preset}/{self.variant}" if self.variant else self.preset

    @property
    def epochs(self) -> int:
        """Number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def frozen(self) -> int:
        """Number of stages that never move."""
        return min(phase.frozen for phase in self.phases)

    def with_augment(self, augment: str) -> Plan:
        """The same plan with another augmentation: ``none``, ``standard`` or ``strong``."""
        return replace(self, augment=augment)


def resolve_cut(transfer: TransferConfig, stages: Sequence[StageInfo]) -> int | None:
    """Number of stages that are kept.

    Args:
        transfer: The user's wishes; ``cut`` goes before the preset's.
        stages: All stages of the uncut network, in forward order.

    Returns:
        A number in [1, len(stages) - 1], or None when nothing is dropped.

    Raises:
        ConfigError: The stage does not exist, or nothing would be left.
    """
    spec = get_preset(transfer.preset, transfer.variant)
    if transfer.cut is None:
        kept = max(1, share_of(spec.cut, len(stages))) if spec.cut else len(stages)
    elif transfer.cut == "none":
        kept = len(stages)
    else:
        kept = count_of(transfer.cut, [stage.name for stage in stages], "transfer.cut")
    if kept == 0:
        raise ConfigError("transfer.cut: no stage would be left", hint="keep at least one, or leave cut out")
    return None if kept == len(stages) else kept


def resolve_plan(
    transfer: TransferConfig, train: TrainConfig, stages: Sequence[StageInfo], task: TaskName = "classification"
) -> Plan:
    """Resolve a preset for one network.

    What the config says goes before the preset. The top stage that moves learns at ``backbone_lr`` times the head's
    rate, and each stage below at ``lr_decay`` times the one above it (discriminative fine-tuning; Howard & Ruder 2018,
    arXiv:1801.06146, section 3.1).

    Args:
        transfer: What to keep and what to train.
        train: Epochs, learning rate and optimizer, where given.
        stages: All stages of the **uncut** network, in forward order.
        task: Regression takes ``adamw`` for a head alone too: the curvature of a squared error grows with the squared
            norm of the features, so that no one rate of plain descent suits all networks, while that of cross entropy
            is bounded.

    Returns:
        The plan.

    Raises:
        ConfigError: An unknown stage, or wishes that contradict each other.
    """
    spec = get_preset(transfer.preset, transfer.variant)
    _check_wishes(transfer, spec)
    cut = resolve_cut(transfer, stages)
    kept = [stage.name for stage in stages[:cut]]
    wanted = _named_multipliers(transfer, kept, [stage.name for stage in stages[cut:]] if cut else [])
    wishes = transfer.phases or (None,)
    frozen = [_frozen(phase, number, spec, transfer, kept) for number, phase in enumerate(wishes, 1)]
    head_alone = "adamw" if task == "regression" else "momentum"
    optimizer = train.optimizer or (head_alone if min(frozen) == len(kept) else "adamw")
    phases = tuple(
        _resolve_phase(phase, number, count, optimizer, spec, transfer, train, wanted, len(kept))
        for number, (phase, count) in enumerate(zip(wishes, frozen, strict=True), 1)
    )
    if train.solver == "exact":
        phases = _solved(phases, len(kept))
    plan = Plan(spec.name, spec.variant, cut, spec.augment, phases, spec.pretrained, optimizer)
    _check_multipliers(wanted, plan, kept)
    if not spec.pretrained and any(phase.frozen for phase in phases):
        raise ConfigError(
            f"transfer: preset {spec.name} starts from random weights, and frozen ones would stay random",
            hint="leave freeze out, or take another preset",
        )
    return replace(plan, notes=_notes(plan, spec, transfer, train))


def _solved(phases: Sequence[PhasePlan], kept: int) -> tuple[PhasePlan, ...]:
    """The phases, those of a head alone solved."""
    if all(phase.frozen < kept for phase in phases):
        raise ConfigError(
            "train.solver: exact is for a head on frozen stages, and this plan moves some in every phase",
            hint="set transfer.preset: linear_probe or transfer.freeze: all, or leave solver out",
        )
    return tuple(replace(each, epochs=1, solver="exact") if each.frozen == kept else each for each in phases)


def _check_wishes(transfer: TransferConfig, spec: PresetSpec) -> None:
    if transfer.phases is not None and not transfer.phases:
        raise ConfigError("transfer.phases: is an empty list", hint="give at least one phase, or leave phases out")
    if transfer.phases and transfer.freeze is not None:
        raise ConfigError(
            "transfer.freeze and transfer.phases are both given",
            hint="say freeze in each phase, and leave transfer.freeze out",
        )


def _named_multipliers(transfer: TransferConfig, kept: Sequence[str], dropped: Sequence[str]) -> dict[int, float]:
    """Stage index -> the user's multiplier; a stage's own name goes before its group's."""
    wanted: dict[int, float] = {}
    for name, multiplier in sorted(transfer.lr_multipliers.items(), key=lambda item: len(item[0])):
        key = f"transfer.lr_multipliers.{name}"
        found = [i for i in indices_of(name, [*kept, *dropped], key) if i < len(kept)]
        if not found:
            raise ConfigError(f"{key}: the stage is above the cut at {kept[-1]}", hint="leave it out, or cut higher")
        wanted.update(dict.fromkeys(found, multiplier))
    return wanted


def _resolve_phase(
    phase: PhaseConfig | None,
    number: int,
    frozen: int,
    optimizer: str,
    spec: PresetSpec,
    transfer: TransferConfig,
    train: TrainConfig,
    wanted: dict[int, float],
    kept: int,
) -> PhasePlan:
    all_frozen = frozen == kept
    default_lr = (spec.head_lr if all_frozen else spec.tuning_lr).of(optimizer)
    top_rate = _first(phase.backbone_lr if phase else None, transfer.backbone_lr, spec.backbone_lr)
    decay = _first(transfer.lr_decay, spec.lr_decay)
    multipliers = tuple(0.0 if i < frozen else wanted.get(i, top_rate * decay ** (kept - 1 - i)) for i in range(kept))
    if phase is None:
        name = "head" if all_frozen else "fine-tune" if spec.pretrained else "train"
        return PhasePlan(name, train.epochs or spec.epochs, frozen, train.lr or default_lr, multipliers)
    return PhasePlan(
        phase.name or f"phase {number}", phase.epochs, frozen, phase.lr or train.lr or default_lr, multipliers
    )


def _frozen(
    phase: PhaseConfig | None, number: int, spec: PresetSpec, transfer: TransferConfig, kept: Sequence[str]
) -> int:
    if phase is not None:
        return count_of(phase.freeze, kept, f"transfer.phases.{number - 1}.freeze")
    if transfer.freeze is not None:
        return count_of(transfer.freeze, kept, "transfer.freeze")
    return share_of(spec.freeze, len(kept))


def _first(*values: float | None) -> float:
    """The first value that was given."""
    return next(value for value in values if value is not None)


def _check_multipliers(wanted: dict[int, float], plan: Plan, kept: Sequence[str]) -> None:
    """A multiplier must have an effect, and a stage that is not frozen must learn."""
    for index, multiplier in wanted.items():
        if index < plan.frozen and multiplier:
            raise ConfigError(
                f"transfer.lr_multipliers: {kept[index]} has {multiplier:g}, but the plan freezes it",
                hint=f"freeze at most the first {index} stages, or leave the multiplier out",
            )
    for phase in plan.phases:
        still = [kept[i] for i in range(phase.frozen, len(kept)) if phase.multipliers[i] == 0]
        if still:
            raise ConfigError(
                f"transfer: {still[0]} has learning rate 0 in phase {phase.name!r} but is not frozen",
                hint="to keep stages as they are, freeze up to the last of them (transfer.freeze)",
            )


def _notes(plan: Plan, spec: PresetSpec, transfer: TransferConfig, train: TrainConfig) -> tuple[str, ...]:
    notes = []
    if transfer.phases and train.epochs is not None:
        notes.append("train.epochs has no effect: the phases say how long they are")
    if all(phase.frozen == len(phase.multipliers) for phase in plan.phases):
        unused = [key for key in ("backbone_lr", "lr_decay") if getattr(transfer, key) is not None]
        notes += [f"transfer.{key} has no effect: all stages are frozen" for key in unused]
    if train.solver == "exact":
        unused = [key for key in ("lr", "optimizer", "epochs") if getattr(train, key) is not None]
        notes += [f"train.{key} has no effect on a head that is solved" for key in unused]
    usual = max(getattr(spec, rates).of(plan.optimizer) for rates in ("head_lr", "tuning_lr"))
    if train.lr is not None and train.optimizer is None and train.lr > _LR_STRETCH * usual:
        notes.append(f"train.lr {train.lr:g} is much for {plan.optimizer}, which the preset takes: usual is {usual:g}")
    return tuple(notes)
