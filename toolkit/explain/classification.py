"""The results of a classifier in a report."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine import Job
from toolkit.explain.calibration import calibration_words, measure_calibration
from toolkit.explain.result_figures import reliability_diagram
from toolkit.explain.statistics import (
    ClassScore,
    class_scores,
    confusions,
    most_confused,
    wilson_interval,
    worst_mistakes,
)
from toolkit.explain.tables import MANY, confusion_cells, count_summary
from toolkit.explain.thumbnails import shown_image
from toolkit.tasks import softmax

_MISTAKES = 12


def classification_facts(job: Job, logits: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, Any]:
    """Collect the facts for ``classification.html``.

    Args:
        job: The run's job.
        logits: Scores for the evaluation images ``[N, C]``.
        labels: Class indices ``[N]``.
    """
    classes = job.data.classes
    probabilities = softmax(logits.astype(np.float64))
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == labels
    matrix = confusions(labels, predicted, len(classes))
    calibration = measure_calibration(confidence, right)
    scores = class_scores(labels, predicted, classes)
    many, counts = len(classes) > MANY, job.data.counts()
    return {
        "hits": int(right.sum()),
        "interval": wilson_interval(int(right.sum()), len(labels)),
        "most_frequent": float(matrix.sum(axis=1).max() / len(labels)),
        "matrix": None if many else confusion_cells(matrix),
        "pairs": [
            {"true": classes[true], "said": classes[said], "count": count, "share": count / matrix[true].sum()}
            for true, said, count in most_confused(matrix, MANY)
        ],
        "scores": sorted(scores, key=_worst_first) if many else scores,
        "mistakes": _mistakes(job, predicted, confidence, worst_mistakes(confidence, right, _MISTAKES)),
        "calibration": calibration,
        "calibration_words": calibration_words(calibration),
        "reliability": reliability_diagram(calibration),
        "counts": counts,
        "count_summary": count_summary(counts),
    }


def _worst_first(score: ClassScore) -> tuple[bool, float, int]:
    return score.support == 0, 2.0 if score.f1 is None else score.f1, -score.support


def _mistakes(
    job: Job, predicted: NDArray[np.integer], confidence: NDArray[np.floating], rows: list[int]
) -> list[dict[str, Any]]:
    _, images = job.data.evaluation
    classes = job.data.classes
    return [
        {
            **shown_image(images, row),
            "truth": classes[images.labels[row]],
            "said": classes[predicted[row]],
            "confidence": float(confidence[row]),
        }
        for row in rows
    ]
