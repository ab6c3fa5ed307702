"""The results of multilabel classification in a report."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine import Job
from toolkit.explain.calibration import calibration_words, measure_calibration
from toolkit.explain.label_scores import LabelScore, label_scores, map_interval, worst_labels
from toolkit.explain.result_figures import CURVE_COLORS, ReliabilityWords, precision_recall, reliability_diagram
from toolkit.explain.tables import MANY
from toolkit.explain.thumbnails import shown_image
from toolkit.tasks import sigmoid

_MISTAKES = 8
_NAMED = 6
"""Maximum number of labels to name for an image."""
_WORDS = ReliabilityWords(
    confidence="probability",
    accuracy="share with the label",
    overconfident="predicted more often than true",
    underconfident="true more often than predicted",
    counted="pairs",
)


def multilabel_facts(job: Job, logits: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, Any]:
    """Collect the facts for ``multilabel.html``.

    Args:
        job: The run's job.
        logits: Scores for the evaluation images ``[N, C]``.
        labels: 0 or 1, ``[N, C]``.
    """
    true, probabilities, predicted = labels > 0.5, sigmoid(logits), logits > 0
    scores = label_scores(logits, true, job.data.classes)
    calibration = measure_calibration(probabilities.ravel(), true.ravel())
    present = true.any(axis=0)
    return {
        "interval": map_interval(logits, true),
        "prevalence": float(true.mean(axis=0)[present].mean()) if present.any() else 0.0,
        "absent": int((~present).sum()),
        "each": float(true.sum(axis=1).mean()),
        "exact": float((predicted == true).all(axis=1).mean()),
        "scores": sorted(scores, key=_worst_first) if len(scores) > MANY else scores,
        "rankings": _rankings(scores, logits, true),
        "false_alarms": _mistakes(
            job, probabilities, true, worst_labels(probabilities, predicted & ~true, _MISTAKES, highest=True)
        ),
        "missed": _mistakes(
            job, probabilities, true, worst_labels(probabilities, ~predicted & true, _MISTAKES, highest=False)
        ),
        "calibration": calibration,
        "calibration_words": calibration_words(calibration, "probability", "share of true labels"),
        "reliability": reliability_diagram(calibration, _WORDS),
        **_data_facts(job),
    }


def _worst_first(score: LabelScore) -> tuple[bool, float, int]:
    ap = score.average_precision
    return ap is None, 2.0 if ap is None else ap, -score.positives


def _rankings(scores: list[LabelScore], logits: NDArray[np.floating], true: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Make precision-recall figures: one with all labels if they are few, else the most frequent and the worst."""
    present = [index for index, score in enumerate(scores) if score.positives]
    most = len(CURVE_COLORS)
    frequent = sorted(present, key=lambda index: -scores[index].positives)[:most]
    worst = sorted(present, key=lambda index: _worst_first(scores[index]))[:most]
    groups = {"The most frequent labels": frequent, "The worst labels": worst}
    if len(present) <= most:
        groups = {"All labels": present} if present else {}
    return [
        {
            "title": title,
            "picture": precision_recall([(logits[:, index], true[:, index]) for index in chosen]),
            "key": [(color, scores[index]) for color, index in zip(CURVE_COLORS, chosen, strict=False)],
        }
        for title, chosen in groups.items()
    ]


def _mistakes(
    job: Job, probabilities: NDArray[np.floating], true: NDArray[np.bool_], positions: list[tuple[int, int]]
) -> list[dict[str, Any]]:
    _, images = job.data.evaluation
    classes = job.data.classes
    truths = {row: np.flatnonzero(true[row]) for row, _ in positions}
    return [
        {
            **shown_image(images, row),
            "label": classes[label],
            "probability": float(probabilities[row, label]),
            "truth": [classes[index] for index in truths[row][:_NAMED]],
            "more": max(0, len(truths[row]) - _NAMED),
        }
        for row, label in positions
    ]


def _data_facts(job: Job) -> dict[str, Any]:
    """Count the images with each label by split."""
    counts = job.data.counts()
    totals = {split: len(images) for split, images in job.data.splits.items()}
    return {"counts": counts, "totals": totals, "count_summary": _summary(job, counts)}


def _summary(job: Job, counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, int, float, int, float, int]]:
    """Return for each split: name, images, labels per image, and the minimum, median and maximum images per label."""
    rows = []
    for split, images in job.data.splits.items():
        numbers = list(counts[split].values())
        density, middle = sum(numbers) / len(images), float(median(numbers))
        rows.append((split, len(images), density, min(numbers), middle, max(numbers)))
    return rows
