"""Notes about a plan: the sources of its options, and settings that have no effect or are unusual."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.config import TrainConfig, TransferConfig
from toolkit.transfer.phases import head_first_of, unfreezes_gradually
from toolkit.transfer.presets import PresetSpec

_LR_STRETCH = 4
"""A learning rate this many times the usual one earns a note if the preset chose the optimizer."""


def plan_notes(
    transfer: TransferConfig,
    train: TrainConfig,
    spec: PresetSpec,
    optimizer: str,
    default_lr: float,
    *,
    head_alone: bool,
) -> tuple[str, ...]:
    """Notes for the user.

    Args:
        transfer: The user's requests.
        train: The user's training settings.
        spec: The preset.
        optimizer: The plan's optimizer.
        default_lr: The head's largest default rate.
        head_alone: Whether all stages are frozen in all phases.
    """
    notes = _options(transfer, train, spec, head_alone=head_alone)
    if transfer.phases and train.epochs is not None:
        notes.append("train.epochs has no effect: the phases set their own length")
    if head_alone:
        unused = [key for key in ("backbone_lr", "lr_decay") if getattr(transfer, key) is not None]
        unused += [key for key in ("head_first", "gradual_unfreezing") if getattr(transfer, key)]
        notes += [f"transfer.{key} has no effect: all stages are frozen" for key in unused]
    if train.solver == "exact":
        unused = [key for key in ("lr", "optimizer", "epochs") if getattr(train, key) is not None]
        notes += [f"train.{key} has no effect on a head that is solved" for key in unused]
    usual = max(default_lr, spec.head_lr.of(optimizer), spec.tuning_lr.of(optimizer))
    lr = None if train.lr == "auto" else train.lr
    if lr is not None and train.optimizer is None and lr > _LR_STRETCH * usual:
        notes.append(f"train.lr {lr:g} is high for {optimizer}, the preset's optimizer; {usual:g} is usual")
    return tuple(notes)


def head_notes(read: Sequence[int], kept: Sequence[str]) -> tuple[str, ...]:
    """A line on the stages that the head reads, if they are not the last one alone.

    Args:
        read: Indices of the stages that the head reads, ascending; () for the last one alone.
        kept: Names of the kept stages.
    """
    if not read:
        return ()
    names = [kept[index] for index in read]
    gapless = read[-1] - read[0] == len(read) - 1
    which = f"{names[0]} to {names[-1]}" if gapless and len(read) > 1 else ", ".join(names)
    return (f"the head reads pooled features of {len(read)} of {len(kept)} stages: {which} (arXiv:2201.03529)",)


def _options(transfer: TransferConfig, train: TrainConfig, spec: PresetSpec, *, head_alone: bool) -> list[str]:
    """Notes on options that add phases before the preset's own."""
    if head_alone:
        return []
    notes, first = [], head_first_of(transfer, train, spec)
    if first:
        notes.append(f"head first, {first} epoch(s) without augmentation: Kumar et al. 2022, arXiv:2202.10054")
    if unfreezes_gradually(transfer, spec):
        notes.append("gradual unfreezing, from the top: Howard & Ruder 2018, arXiv:1801.06146")
    return notes
