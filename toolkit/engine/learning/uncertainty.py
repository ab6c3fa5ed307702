"""How certain a run's best epoch is: the standard error of the deciding metric, and the epochs within it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.callbacks import Checkpoint
from toolkit.engine.learning.objective import Objective
from toolkit.tasks import METRICS
from toolkit.transfer import Plan

_GROUPS = 20
_MOST_SPANS = 5


def standard_error(objective: Objective, outputs: NDArray[np.floating], labels: NDArray[Any], name: str) -> float:
    """Standard error of a metric over samples of images of the same kind.

    For a share of ``n`` images it is ``sqrt(p (1 - p) / (n + 1))`` with ``p = (hits + 1/2) / (n + 1)``, so that 100 %
    of a few images is not certain (Agresti & Coull 1998, The American Statistician 52:119, for one standard error). For
    other metrics it is the grouped jackknife's (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11):
    the metric without each of up to 20 groups of images.

    Args:
        objective: The objective with the metric.
        outputs: ``[N, C]``, N >= 1.
        labels: Their labels.
        name: Name of the metric.

    Returns:
        The error in the metric's unit, >= 0; infinite if there are too few images.
    """
    count = len(outputs)
    if METRICS[name].share:
        share = (objective.metrics(outputs, labels)[name] * count + 0.5) / (count + 1)
        return math.sqrt(share * (1 - share) / (count + 1))
    groups = min(_GROUPS, count)
    if groups < 2:
        return math.inf
    order = np.random.default_rng(0).permutation(count)  # sets are often sorted by class
    left = [np.delete(order, np.s_[group::groups]) for group in range(groups)]
    values = np.array([objective.metrics(outputs[rows], labels[rows])[name] for rows in left])
    return math.sqrt((groups - 1) / groups * float(((values - values.mean()) ** 2).sum()))


def preliminary_phases(plan: Plan) -> tuple[int, ...]:
    """Indices of the phases before the first one in which a stage moves; empty if no stage ever moves."""
    moving = [index for index, phase in enumerate(plan.phases) if phase.frozen < len(phase.multipliers)]
    return tuple(range(moving[0])) if moving else ()


def certainty_of(checkpoint: Checkpoint, plan: Plan, images: int, epochs: int) -> dict[str, Any] | None:
    """How certain the best epoch is.

    Args:
        checkpoint: The checkpoint callback that chose it.
        plan: The run's plan.
        images: Number of validation images.
        epochs: Number of epochs trained.

    Returns:
        ``metric``, ``error`` (its standard error), ``images``, ``epochs`` (from 1, those within one error of the best),
        and ``words`` (an explanation); None if nothing is known or there was no choice.
    """
    best, error, equals = checkpoint.best_epoch, checkpoint.best_error, checkpoint.equals()
    if best is None or error is None or not math.isfinite(error) or not equals or epochs < 2:
        return None
    name = checkpoint.monitor.partition("/")[2]
    size = f"± {100 * error:.1f} points" if METRICS[name.removeprefix("avg_")].share else f"± {error:.2g}"
    others = _spans([epoch + 1 for epoch in equals])
    within = f"within the error of {images} image{'s' if images > 1 else ''} ({size})"
    words = f"epoch {best + 1}; "
    words += f"epochs {others} are {within}" if len(equals) > 1 else f"no other epoch is {within}"
    if checkpoint.best_is_preliminary:
        words += _of_the_head_alone(plan, any(not contender[2] for contender in checkpoint.contenders))
    return {"metric": name, "error": error, "images": images, "epochs": [epoch + 1 for epoch in equals], "words": words}


def _of_the_head_alone(plan: Plan, moved: bool) -> str:
    name = plan.phases[0].name
    if moved:
        return f"; it is of phase {name!r}: no epoch in which the plan's stages moved came near it"
    return f"; it is of phase {name!r}: training ended before the plan's stages moved"


def _spans(epochs: Sequence[int]) -> str:
    """``3, 7-14``; only the first few if there are many spans."""
    breaks = [0, *(place for place, (e, following) in enumerate(pairwise(epochs), 1) if following > e + 1), len(epochs)]
    spans = [(epochs[first], epochs[stop - 1]) for first, stop in pairwise(breaks)]
    words = [f"{first}-{last}" if last > first else str(first) for first, last in spans]
    more = f" and others ({len(epochs)} in all)" if len(words) > _MOST_SPANS else ""
    return ", ".join(words[:_MOST_SPANS]) + more
