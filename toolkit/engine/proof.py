"""The proof that what is frozen did not move: weights and statistics are compared by their digests."""

from __future__ import annotations

from typing import Any

from toolkit.errors import TrainingError
from toolkit.transfer import PhasePlan, fingerprint, moved
from toolkit.zoo import StagedNetwork

__all__ = ["frozen_digests", "prove_unmoved"]


def frozen_digests(network: StagedNetwork, frozen: int) -> dict[str, str]:
    """A digest of each array of the first ``frozen`` stages, by state-dict key."""
    return fingerprint({key: value for i in range(frozen) for key, value in network.stage_state(i).items()})


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
    changed = moved(before, frozen_digests(network, phase.frozen))
    if changed:
        raise TrainingError(
            f"{len(changed)} arrays of frozen stages moved in phase {phase.name}: {', '.join(changed[:3])}",
            hint="a callback or custom code must have changed them",
        )
    return {"phase": phase.name, "frozen_stages": phase.frozen, "arrays_checked": len(before), "moved": changed}
