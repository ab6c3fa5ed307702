"""Resolve a preset and the user's requests to a plan for one network: what is frozen, and what learns how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.config import TrainConfig, TransferConfig
from toolkit.core.errors import ConfigError
from toolkit.core.stages import StageInfo, head_stage_indices, stage_count, stage_indices
from toolkit.tasks import TASKS, TaskName
from toolkit.transfer.phases import RequestedPhase, requested_phases
from toolkit.transfer.presets import PresetSpec, dense_lr, share_of, spec_of
from toolkit.transfer.remarks import head_notes, plan_notes


@dataclass(frozen=True)
class DenseHead:
    """A head with a single dense layer, which standardises its features if it is new and trained alone.

    Attributes:
        features: Number of features.
        outputs: Number of classes, labels or targets.
    """

    features: int
    outputs: int


@dataclass(frozen=True)
class PhasePlan:
    """One phase of training.

    Attributes:
        name: Name shown in tables.
        epochs: Number of epochs.
        frozen: Number of stages, from the bottom, with frozen weights and statistics.
        lr: Learning rate of the head.
        multipliers: One number per kept stage: its learning rate as a fraction of the head's; 0.0 when frozen.
        solver: ``sgd``: trained by the optimizer; ``exact``: the head's optimum is computed, in one epoch.
        augment: Augmentation of this phase instead of the plan's; None: the plan's.
        search: Whether a short search determines its rate (``train.lr: auto``), starting from ``lr``.
    """

    name: str
    epochs: int
    frozen: int
    lr: float
    multipliers: tuple[float, ...]
    solver: str = "sgd"
    augment: str | None = None
    search: bool = False


@dataclass(frozen=True)
class Plan:
    """A preset resolved for one network.

    Attributes:
        preset: Name of the preset.
        cut: Number of stages kept, or None if nothing is dropped.
        augment: Training augmentation that the preset requests: ``none``, ``standard`` or ``strong``.
        phases: At least one phase.
        pretrained: False if the network starts from random weights.
        optimizer: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        batch_norm: BatchNorm statistics of stages that move: ``frozen`` or ``train``.
        notes: Notes for the user, for instance on a setting without effect.
        head_stages: Indices of the stages whose pooled features the head reads; () for the last one alone.
    """

    preset: str
    cut: int | None
    augment: str
    phases: tuple[PhasePlan, ...]
    pretrained: bool
    optimizer: str
    batch_norm: str = "train"
    notes: tuple[str, ...] = ()
    head_stages: tuple[int, ...] = ()

    @property
    def epochs(self) -> int:
        """Total number of epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def frozen(self) -> int:
        """Number of stages that never move."""
        return min(phase.frozen for phase in self.phases)

    def augment_of(self, phase: PhasePlan) -> str:
        """Training augmentation of one phase: ``none``, ``standard`` or ``strong``."""
        return self.augment if phase.augment is None else phase.augment

    def with_rates(self, factor: float) -> Plan:
        """A copy whose rates under search are multiplied by a factor and thereby settled."""
        phases = (
            replace(phase, lr=phase.lr * factor, search=False) if phase.search else phase for phase in self.phases
        )
        return replace(self, phases=tuple(phases))

    def with_augment(self, augment: str) -> Plan:
        """A copy with another augmentation; phases with their own keep it."""
        return replace(self, augment=augment)


def resolve_cut(transfer: TransferConfig, stages: Sequence[StageInfo]) -> int | None:
    """Number of kept stages.

    Args:
        transfer: The user's requests; ``cut`` overrides the preset's.
        stages: All stages of the uncut network, in forward order.

    Returns:
        A number in [1, len(stages) - 1], or None if nothing is dropped.

    Raises:
        ConfigError: The stage does not exist, or nothing would be left.
    """
    spec = spec_of(transfer)
    if transfer.cut is None:
        kept = max(1, share_of(spec.cut, len(stages))) if spec.cut else len(stages)
    elif transfer.cut == "none":
        kept = len(stages)
    else:
        kept = stage_count(transfer.cut, [stage.name for stage in stages], "transfer.cut")
    if kept == 0:
        raise ConfigError("transfer.cut: no stage would be left", hint="keep at least one, or omit cut")
    return None if kept == len(stages) else kept


def resolve_head_stages(
    transfer: TransferConfig, wanted: str | Sequence[str] | None, kept: Sequence[str]
) -> tuple[int, ...]:
    """Indices of the stages whose pooled features the head reads; () for the last kept stage alone.

    Args:
        transfer: The user's requests, with the preset.
        wanted: ``model.head.stages``, which overrides the preset's.
        kept: Names of the kept stages, in forward order.

    Raises:
        ConfigError: A stage does not exist or was cut off, or the head reads nothing from the uppermost ones.
    """
    key = "model.head.stages"
    found = head_stage_indices(spec_of(transfer).head_stages if wanted is None else wanted, kept, key)
    if found and found[-1] < len(kept) - 1:
        raise ConfigError(
            f"{key}: the head does not read the last stage, {kept[-1]}, so stages above {kept[found[-1]]} are useless",
            hint=f"add {kept[-1]}, or drop them with transfer.cut: {kept[found[-1]]}",
        )
    return found


def resolve_plan(
    transfer: TransferConfig,
    train: TrainConfig,
    stages: Sequence[StageInfo],
    task: TaskName = "classification",
    head: DenseHead | None = None,
    *,
    pretrained: bool = True,
    head_stages: str | Sequence[str] | None = None,
) -> Plan:
    """Resolve a preset for one network.

    The config overrides the preset. The top moving stage learns at ``backbone_lr`` times the head's rate, and each
    stage below at ``lr_decay`` times the one above it (discriminative fine-tuning; Howard & Ruder 2018,
    arXiv:1801.06146, section 3.1).

    Args:
        transfer: What to keep and what to train.
        train: Epochs, learning rate and optimizer, if given.
        stages: All stages of the **uncut** network, in forward order.
        task: Regression uses ``adamw`` even for a head alone: the curvature of a squared error grows with the squared
            norm of the features, so no single rate of plain descent suits all networks, while that of cross entropy is
            bounded.
        head: What ``dense_lr`` needs to know of the head, for phases before the backbone moves; None: a head of
            another kind, or one not known yet.
        pretrained: False for a network without weights (``model.pretrained: false``): then a preset's head is not
            trained first, and BatchNorm has no statistics to keep.
        head_stages: ``model.head.stages``; see ``resolve_head_stages``.

    Returns:
        The plan.

    Raises:
        ConfigError: An unknown stage, or requests that contradict each other.
    """
    spec = spec_of(transfer) if pretrained else replace(spec_of(transfer), head_first=0, batch_norm="train")
    cut = resolve_cut(transfer, stages)
    kept = [stage.name for stage in stages[:cut]]
    wanted = _named_multipliers(transfer, kept, [stage.name for stage in stages[cut:]] if cut else [])
    requested = requested_phases(transfer, train, spec, kept)
    head_alone = all(request.frozen == len(kept) for request in requested)
    optimizer = train.optimizer or (TASKS[task].head_optimizer if head_alone else "adamw")
    defaults = _default_rates(requested, optimizer, spec, len(kept), task, head)
    phases = tuple(
        _resolve_phase(request, rate, spec, transfer, train, wanted, len(kept))
        for request, rate in zip(requested, defaults, strict=True)
    )
    if train.solver == "exact":
        phases = _solved(phases, len(kept))
    batch_norm = _batch_norm(transfer, spec, pretrained=pretrained)
    plan = Plan(spec.name, cut, spec.augment, phases, spec.pretrained, optimizer, batch_norm)
    _check_multipliers(wanted, plan, kept)
    if not spec.pretrained and any(phase.frozen for phase in phases):
        raise ConfigError(
            f"transfer: preset {spec.name} starts from random weights, and frozen ones would stay random",
            hint="omit freeze, or choose another preset",
        )
    read = resolve_head_stages(transfer, head_stages, kept)
    notes = plan_notes(transfer, train, spec, optimizer, max(defaults), head_alone=head_alone)
    return replace(plan, head_stages=read, notes=(*head_notes(read, kept), *notes))


def _batch_norm(transfer: TransferConfig, spec: PresetSpec, *, pretrained: bool) -> str:
    """BatchNorm mode of moving stages; only a network with weights has statistics worth keeping."""
    if transfer.batch_norm != "frozen" or (pretrained and spec.pretrained):
        return transfer.batch_norm or spec.batch_norm
    why, cure = (
        ("model.pretrained: false", "set model.pretrained")
        if spec.pretrained
        else (f"preset {spec.name}", "choose another preset")
    )
    raise ConfigError(
        f"transfer.batch_norm: {why} starts from random weights, which have no statistics to keep",
        hint=f"omit batch_norm, or {cure}",
    )


def _solved(phases: Sequence[PhasePlan], kept: int) -> tuple[PhasePlan, ...]:
    """The phases, with those of a head alone solved exactly."""
    if all(phase.frozen < kept for phase in phases):
        raise ConfigError(
            "train.solver: exact is for a head on frozen stages, but every phase of this plan moves some",
            hint="set transfer.preset: linear_probe or transfer.freeze: all, or omit solver",
        )
    return tuple(
        replace(phase, epochs=1, solver="exact", search=False) if phase.frozen == kept else phase for phase in phases
    )


def _named_multipliers(transfer: TransferConfig, kept: Sequence[str], dropped: Sequence[str]) -> dict[int, float]:
    """Stage index -> the user's multiplier; a stage's name overrides its group's."""
    wanted: dict[int, float] = {}
    for name, multiplier in sorted(transfer.lr_multipliers.items(), key=lambda item: len(item[0])):
        key = f"transfer.lr_multipliers.{name}"
        indices = [i for i in stage_indices(name, [*kept, *dropped], key) if i < len(kept)]
        if not indices:
            raise ConfigError(f"{key}: the stage is above the cut at {kept[-1]}", hint="omit it, or cut higher")
        wanted.update(dict.fromkeys(indices, multiplier))
    return wanted


def _default_rates(
    requested: Sequence[RequestedPhase],
    optimizer: str,
    spec: PresetSpec,
    kept: int,
    task: TaskName,
    head: DenseHead | None,
) -> list[float]:
    """The head's default rate in each phase."""
    rates, fresh = [], True
    for request in requested:
        fresh = fresh and request.frozen == kept
        if fresh and head is not None:
            rates.append(dense_lr(optimizer, task, head.features, head.outputs))
        else:
            rates.append((spec.head_lr if request.frozen == kept else spec.tuning_lr).of(optimizer))
    return rates


def _resolve_phase(
    request: RequestedPhase,
    default_lr: float,
    spec: PresetSpec,
    transfer: TransferConfig,
    train: TrainConfig,
    wanted: dict[int, float],
    kept: int,
) -> PhasePlan:
    phase, given = request.config, None if request.own_rate or train.lr == "auto" else train.lr
    top_rate = _first(phase.backbone_lr if phase else None, transfer.backbone_lr, spec.backbone_lr)
    decay = _first(phase.lr_decay if phase else None, transfer.lr_decay, spec.lr_decay)
    by_depth = [top_rate * decay ** (kept - 1 - i) for i in range(kept)]
    multipliers = tuple(0.0 if i < request.frozen else wanted.get(i, by_depth[i]) for i in range(kept))
    lr = _first(phase.lr if phase else None, given, default_lr)
    search = train.lr == "auto" and not request.own_rate and (phase is None or phase.lr is None)
    return PhasePlan(
        request.name, request.epochs, request.frozen, lr, multipliers, augment=request.augment, search=search
    )


def _first(*values: float | None) -> float:
    """The first value that is not None."""
    return next(value for value in values if value is not None)


def _check_multipliers(wanted: dict[int, float], plan: Plan, kept: Sequence[str]) -> None:
    """Check that multipliers have an effect and that stages which are not frozen learn."""
    for index, multiplier in wanted.items():
        if index < plan.frozen and multiplier:
            raise ConfigError(
                f"transfer.lr_multipliers: {kept[index]} has {multiplier:g}, but the plan freezes it",
                hint=f"freeze at most the first {index} stages, or omit the multiplier",
            )
    for phase in plan.phases:
        still = [kept[i] for i in range(phase.frozen, len(kept)) if phase.multipliers[i] == 0]
        if still:
            raise ConfigError(
                f"transfer: {still[0]} has learning rate 0 in phase {phase.name!r} but is not frozen",
                hint="to keep stages as they are, freeze up to the last of them (transfer.freeze)",
            )
