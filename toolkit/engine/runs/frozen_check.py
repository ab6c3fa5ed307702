"""Verify by digests that frozen arrays did not change, and that the others did."""

from __future__ import annotations

from typing import Any

import paddle

from toolkit.core.console import warn
from toolkit.core.digest import fingerprint, moved
from toolkit.core.errors import DivergedError, TrainingError
from toolkit.core.runtime import world_size
from toolkit.engine.job import Job
from toolkit.engine.manual_changes import check_callback_changes
from toolkit.engine.runs.state import TrainingState
from toolkit.transfer import PhasePlan
from toolkit.zoo import StagedNetwork

_MOST_NAMED = 3


def check_numbers(network: StagedNetwork, epoch: int) -> None:
    """Check the weights for NaN and infinity, which a ReLU can hide from the loss.

    Args:
        network: The network in training.
        epoch: The epoch, from 0.

    Raises:
        DivergedError: A weight is NaN or infinite; raised on all processes, as all have the same weights.
    """
    checked = {key: tensor for key, tensor in network.named_parameters() if not tensor.stop_gradient}
    if world_size() == 1:  # statistics differ between processes
        checked.update({key: tensor for key, tensor in network.named_buffers() if key.endswith(("_mean", "_variance"))})
    for key, value in checked.items():
        if not bool(paddle.isfinite(value).all()):
            raise DivergedError(
                f"{key} became NaN or infinite in epoch {epoch + 1}",
                hint="lower train.lr, set train.clip_norm: 1.0, or add train.warmup_epochs",
            )


class FrozenCheck:
    """Tracks which arrays of a network change in a phase.

    Args:
        job: The job at the start of the phase; its network is already frozen.
        phase: The phase.
        state: Stores what moves, and receives the results.
        resumed: Whether the phase is resumed, so that the state already has its initial digests.
    """

    def __init__(self, job: Job, phase: PhasePlan, state: TrainingState, *, resumed: bool) -> None:
        self._job, self._phase = job, phase
        self._frozen = frozen_digests(job.network, phase.frozen)
        if not resumed:
            state.begun, state.largest_lr = fingerprint(job.network.trainable()), 0.0

    def end(self, state: TrainingState) -> None:
        """Compare the arrays, and store the results in the state.

        Raises:
            TrainingError: See ``check_frozen_weights`` and ``check_trained_weights``.
        """
        check_callback_changes(self._job)
        state.proof.append(check_frozen_weights(self._job.network, self._phase, self._frozen))
        state.trained.append(check_trained_weights(self._job.network, self._phase, state))
        state.begun = {}


def frozen_digests(network: StagedNetwork, frozen: int) -> dict[str, str]:
    """A digest of each array of the first ``frozen`` stages and of held weights, by state-dict key."""
    stages = {key: value for i in range(frozen) for key, value in network.stage_state(i).items()}
    return fingerprint(stages | network.held_state())


def check_frozen_weights(network: StagedNetwork, phase: PhasePlan, before: dict[str, str]) -> dict[str, Any]:
    """Check that the frozen stages did not change.

    Args:
        network: The network after the phase.
        phase: The phase, which defines what was frozen.
        before: ``frozen_digests`` from before the phase.

    Returns:
        What was checked, for the record.

    Raises:
        TrainingError: A frozen array changed.
    """
    after = frozen_digests(network, phase.frozen)
    changed = moved(before, {key: value for key, value in after.items() if key in before})
    if changed:
        raise TrainingError(
            f"{len(changed)} arrays of frozen stages moved in phase {phase.name}: {', '.join(changed[:3])}",
            hint="a callback or custom code must have changed them",
        )
    return {"phase": phase.name, "frozen_stages": phase.frozen, "arrays_checked": len(before), "moved": changed}


def check_trained_weights(network: StagedNetwork, phase: PhasePlan, state: TrainingState) -> dict[str, Any]:
    """Check that trained weights changed; warns of those that did not change at all.

    Nothing is compared if no step had a rate above 0, for instance if the head was solved.

    Args:
        network: The network after the phase.
        phase: The phase.
        state: Holds the digests from the start of the phase.

    Returns:
        What was checked, for the record.

    Raises:
        TrainingError: Nothing changed.
    """
    after = fingerprint(network.trainable()) if state.largest_lr > 0 else {}
    checked = sorted(after.keys() & state.begun.keys())
    unmoved = [key for key in checked if after[key] == state.begun[key]]
    if unmoved and len(unmoved) == len(checked):
        raise TrainingError(
            f"nothing was trained in phase {phase.name}: all {len(checked)} arrays that should change are unchanged",
            hint="the loss does not depend on them, their gradients are 0, or the learning rate is far too small",
        )
    if unmoved:
        named = ", ".join(unmoved[:_MOST_NAMED]) + (", ..." if len(unmoved) > _MOST_NAMED else "")
        warn(f"{len(unmoved)} of {len(checked)} arrays that should learn did not move in phase {phase.name}: {named}")
    return {"phase": phase.name, "arrays_checked": len(checked), "unmoved": unmoved}
