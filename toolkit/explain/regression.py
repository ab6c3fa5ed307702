"""The results of regression in a report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine import Job
from toolkit.explain.result_figures import predicted_against_true, residuals
from toolkit.explain.target_scores import TargetScore, largest_errors, target_scores
from toolkit.explain.thumbnails import shown_image

_MISTAKES = 12
_FIGURES = 6
"""Maximum number of targets with figures; the worst ones are chosen."""


def regression_facts(job: Job, predicted: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, Any]:
    """Collect the facts for ``regression.html``.

    Args:
        job: The run's job.
        predicted: Values for the evaluation images ``[N, T]``, in the targets' units.
        labels: True values ``[N, T]``.
    """
    mean, spread = job.data.target_statistics()
    error = predicted.astype(np.float64) - labels
    found = target_scores(predicted, labels, job.data.classes, mean)
    worst = largest_errors(error, np.where(spread > 0, spread, 1.0), _MISTAKES)
    return {
        "interval": found.r2_interval,
        "targets": found.targets,
        "figures": _figures(found.targets, predicted, labels, error),
        "mistakes": _mistakes(job, predicted, labels, spread, worst),
        "statistics": job.data.describe_targets(),
        "totals": {split: len(images) for split, images in job.data.splits.items()},
    }


def _figures(
    targets: list[TargetScore],
    predicted: NDArray[np.floating],
    labels: NDArray[np.floating],
    error: NDArray[np.floating],
) -> list[dict[str, Any]]:
    """Plot scatter and residuals of each target, or of the worst ones if there are many."""
    chosen = list(range(len(targets)))
    if len(targets) > _FIGURES:
        chosen = sorted(chosen, key=lambda index: _worth(targets[index]))[:_FIGURES]
    return [
        {
            "target": targets[index],
            "scatter": predicted_against_true(predicted[:, index], labels[:, index]),
            "residuals": residuals(error[:, index]),
        }
        for index in chosen
    ]


def _worth(target: TargetScore) -> float:
    return float("inf") if target.r2 is None else target.r2


def _mistakes(
    job: Job,
    predicted: NDArray[np.floating],
    labels: NDArray[np.floating],
    spread: NDArray[np.float64],
    worst: list[tuple[int, int]],
) -> list[dict[str, Any]]:
    _, images = job.data.evaluation
    return [
        {
            **shown_image(images, row),
            "target": job.data.classes[target],
            "truth": float(labels[row, target]),
            "said": float(predicted[row, target]),
            "error": float(predicted[row, target]) - float(labels[row, target]),
            "scale": float(spread[target]),
        }
        for row, target in worst
    ]
