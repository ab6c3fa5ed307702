"""The phases of a preset and the user's requests: what each freezes, and for how long; rates are set later.

Two options put phases before the preset's own:

- ``head_first``: linear probing, then fine-tuning. A new head sends large gradients through the backbone and distorts
  good features; a head that already fits them does not (Kumar et al. 2022, arXiv:2202.10054).
- ``gradual_unfreezing``: from the top, one more group of stages per epoch (Howard & Ruder 2018, arXiv:1801.06146,
  section 3.3).

In both, the head's own epochs use images without augmentation, so that their features are computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.config import PhaseConfig, TrainConfig, TransferConfig
from toolkit.core.errors import ConfigError
from toolkit.core.stages import stage_count
from toolkit.transfer.presets import PresetSpec, share_of

_MOST_GROUPS = 4
"""Number of stage groups in gradual unfreezing; Howard & Ruder's network has four layers."""


@dataclass(frozen=True)
class RequestedPhase:
    """A phase before its rates are known.

    Attributes:
        name: Name shown in tables.
        epochs: Number of epochs.
        frozen: Number of frozen stages.
        config: The user's settings for this phase, or None.
        own_rate: Whether it keeps the preset's rate regardless of ``train.lr``.
        augment: Augmentation to use instead of the plan's; None: the plan's.
    """

    name: str
    epochs: int
    frozen: int
    config: PhaseConfig | None = None
    own_rate: bool = False
    augment: str | None = None


def head_first_of(transfer: TransferConfig, train: TrainConfig, spec: PresetSpec) -> int:
    """Epochs of the head alone that come first; never added if the config sets how long to train."""
    if transfer.head_first is not None:
        return transfer.head_first
    own_length = train.epochs is not None or transfer.phases or transfer.gradual_unfreezing
    return 0 if own_length or train.solver == "exact" else spec.head_first


def unfreezes_gradually(transfer: TransferConfig, spec: PresetSpec) -> bool:
    """Whether stages are unfrozen group by group; the user's own phases take precedence over the preset."""
    if transfer.gradual_unfreezing is None:
        return spec.gradual_unfreezing and not transfer.phases
    return transfer.gradual_unfreezing


def requested_phases(
    transfer: TransferConfig, train: TrainConfig, spec: PresetSpec, kept: Sequence[str]
) -> tuple[RequestedPhase, ...]:
    """The phases of a plan, in order.

    Args:
        transfer: What to keep and what to train.
        train: ``epochs``, if given, applies to the preset's own phase.
        spec: The preset.
        kept: Names of the kept stages.

    Raises:
        ConfigError: The requests contradict each other.
    """
    _check(transfer, spec)
    if transfer.phases:
        requested = tuple(_configured(phase, number, kept) for number, phase in enumerate(transfer.phases, 1))
    else:
        requested = (_single(transfer, train, spec, kept),)
    first = head_first_of(transfer, train, spec)
    if all(request.frozen == len(kept) for request in requested):
        return requested
    if unfreezes_gradually(transfer, spec):
        requested = _gradually(requested[-1], len(kept), with_head=not first)
    return (_head(first, len(kept)), *requested) if first else requested


def _configured(phase: PhaseConfig, number: int, kept: Sequence[str]) -> RequestedPhase:
    frozen = stage_count(phase.freeze, kept, f"transfer.phases.{number - 1}.freeze")
    return RequestedPhase(phase.name or f"phase {number}", phase.epochs, frozen, phase)


def _single(transfer: TransferConfig, train: TrainConfig, spec: PresetSpec, kept: Sequence[str]) -> RequestedPhase:
    if transfer.freeze is not None:
        frozen = stage_count(transfer.freeze, kept, "transfer.freeze")
    else:
        frozen = share_of(spec.freeze, len(kept))
    name = "head" if frozen == len(kept) else "fine-tune" if spec.pretrained else "train"
    return RequestedPhase(name, train.epochs or spec.epochs, frozen)


def _head(epochs: int, kept: int) -> RequestedPhase:
    return RequestedPhase("head", epochs, kept, own_rate=True, augment="none")


def _gradually(last: RequestedPhase, kept: int, *, with_head: bool) -> tuple[RequestedPhase, ...]:
    """Split a phase into the same number of epochs, the first with fewer moving stages; groups are of equal size."""
    moving, single = kept - last.frozen, int(with_head)
    groups = min(_MOST_GROUPS, moving, last.epochs - single)
    if groups + single < 2 or groups < 1:
        raise ConfigError(
            f"transfer.gradual_unfreezing: {last.epochs} epoch(s) and {moving} stage(s) that move leave no phases",
            hint="train for more epochs, freeze fewer stages, or omit it",
        )
    phases = [
        RequestedPhase(f"unfreeze {group}", 1, kept - round(moving * group / groups)) for group in range(1, groups)
    ]
    rest = replace(last, epochs=last.epochs - single - len(phases))
    return (*([_head(1, kept)] if with_head else []), *phases, rest)


def _check(transfer: TransferConfig, spec: PresetSpec) -> None:
    if transfer.phases is not None and not transfer.phases:
        raise ConfigError("transfer.phases is an empty list", hint="give at least one phase, or omit phases")
    if transfer.phases and transfer.freeze is not None:
        raise ConfigError(
            "transfer.freeze and transfer.phases are both given",
            hint="set freeze in each phase, and omit transfer.freeze",
        )
    if transfer.phases and transfer.gradual_unfreezing:
        raise ConfigError(
            "transfer.gradual_unfreezing and transfer.phases are both given, but each decides what is frozen when",
            hint="omit one of them",
        )
    wanted = [key for key in ("head_first", "gradual_unfreezing") if getattr(transfer, key)]
    if wanted and not spec.pretrained:
        raise ConfigError(
            f"transfer.{wanted[0]}: preset {spec.name} starts from random weights, which are not worth freezing",
            hint="omit it, or choose another preset",
        )
