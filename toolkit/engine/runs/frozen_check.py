"""The proof that what is frozen did not move, and that the rest did: arrays are compared by their digests."""

from __future__ import annotations

from typing import Any

import paddle

from toolkit.core.console import warn
from toolkit.core.digest import fingerprint, moved
from toolkit.core.errors import DivergedError, TrainingError
from toolkit.core.runtime import world_size
from toolkit.engine.job import Job
from toolkit.engine.manual_changes import heed_callbacks
from toolkit.engine.runs.state import TrainingState
from toolkit.transfer import PhasePlan
from toolkit.zoo import StagedNetwork

_MOST_NAMED = 3


def check_numbers(network: StagedNetwork, epoch: int) -> None:
    """Look for weights that are no number: behind a ReLU the loss need not show them.

    Args:
        network: What is trained.
        epoch: Which one, from 0.

    Raises:
        DivergedError: There are some; on all processes alike, as all have the same weights.
    """
    found = {key: each for key, each in network.named_parameters() if not each.stop_gradient}
    if world_size() == 1:  # statistics are each process's own
        found.update({key: each for key, each in network.named_buffers() if key.endswith(("_mean", "_variance"))})
    for key, value in found.items():
        if not bool(paddle.isfinite(value).all()):
            raise DivergedError(
                f"{key} became NaN or infinite in epoch {epoch + 1}",
                hint="lower train.lr, set train.clip_norm: 1.0, or add train.warmup_epochs",
            )


class FrozenCheck:
    """What of a network moves in a phase, from its beginning to its end.

    Args:
        job: The job as the phase begins; its network is frozen already.
        phase: The phase.
        state: Notes what moves, and takes the results.
        resumed: The phase goes on: the state knows what it began with.
    """

    def __init__(self, job: Job, phase: PhasePlan, state: TrainingState, *, resumed: bool) -> None:
        self._job, self._phase = job, phase
        self._frozen = frozen_digests(job.network, phase.frozen)
        if not resumed:
            state.begun, state.largest_lr = fingerprint(job.network.trainable()), 0.0

    def end(self, state: TrainingState) -> None:
        """Compare, and put what was found into the state.

        Raises:
            TrainingError: See ``prove_unmoved`` and ``prove_moved``.
        """
        heed_callbacks(self._job)
        state.proof.append(prove_unmoved(self._job.network, self._phase, self._frozen))
        state.trained.append(prove_moved(self._job.network, self._phase, state))
        state.begun = {}


def frozen_digests(network: StagedNetwork, frozen: int) -> dict[str, str]:
    """A digest of each array of the first ``frozen`` stages and of what is held by hand, by state-dict key."""
    stages = {key: value for i in range(frozen) for key, value in network.stage_state(i).items()}
    return fingerprint(stages | network.held_state())


def prove_unmoved(network: StagedNetwork, phase: PhasePlan, before: dict[str, str]) -> dict[str, Any]:
    """Compare the frozen stages with what they were.

    Args:
        network: After the phase.
        phase: Says what was frozen.
        before: ``frozen_digests`` before it.

    Returns:
        What was checked, for the record.

    Raises:
        TrainingError: Something moved.
    """
    after = frozen_digests(network, phase.frozen)
    changed = moved(before, {key: value for key, value in after.items() if key in before})
    if changed:
        raise TrainingError(
            f"{len(changed)} arrays of frozen stages moved in phase {phase.name}: {', '.join(changed[:3])}",
            hint="a callback or custom code must have changed them",
        )
    return {"phase": phase.name, "frozen_stages": phase.frozen, "arrays_checked": len(before), "moved": changed}


def prove_moved(network: StagedNetwork, phase: PhasePlan, state: TrainingState) -> dict[str, Any]:
    """Compare the weights that are trained with what they were; one line names those that did not move at all.

    Nothing is compared where no step was made with a rate above 0, as where the head is solved.

    Args:
        network: After the phase.
        phase: Which.
        state: Says what moves was when the phase began.

    Returns:
        What was checked, for the record.

    Raises:
        TrainingError: Nothing has moved.
    """
    after = fingerprint(network.trainable()) if state.largest_lr > 0 else {}
    checked = sorted(after.keys() & state.begun.keys())
    unmoved = [key for key in checked if after[key] == state.begun[key]]
    if unmoved and len(unmoved) == len(checked):
        raise TrainingError(
            f"nothing was trained in phase {phase.name}: all {len(checked)} arrays that should move are what they were",
            hint="the loss does not depend on them, their gradients are 0, or the learning rate is far too small",
        )
    if unmoved:
        named = ", ".join(unmoved[:_MOST_NAMED]) + (", ..." if len(unmoved) > _MOST_NAMED else "")
        warn(f"{len(unmoved)} of {len(checked)} arrays that should learn did not move in phase {phase.name}: {named}")
    return {"phase": phase.name, "arrays_checked": len(checked), "unmoved": unmoved}
