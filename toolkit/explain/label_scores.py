"""Statistics for a multilabel report: the scores of each label, the interval of their mean, and the mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from toolkit.explain.bootstrap import interval, resamples

_RESAMPLES, _FEWEST = 1000, 100
_AFFORDABLE = 200_000_000
"""Images x labels x resamples that can be computed in a few seconds."""


@dataclass(frozen=True)
class LabelScore:
    """Scores of one label.

    Attributes:
        name: The label.
        positives: Number of images with the label.
        average_precision: Area under the precision-recall steps; None if no image has the label.
        precision: Fraction of the images predicted to have the label that do have it; None without such predictions.
        recall: Fraction of the images with the label that were found; None if no image has the label.
        f1: Harmonic mean of both; None if the label neither occurs nor was predicted.
    """

    name: str
    positives: int
    average_precision: float | None
    precision: float | None
    recall: float | None
    f1: float | None


def label_scores(logits: NDArray[np.floating], true: NDArray[np.bool_], names: tuple[str, ...]) -> list[LabelScore]:
    """Compute the scores of all labels in order, with precision, recall and F1 at probability 0.5.

    Args:
        logits: Scores before the sigmoid, ``[N, C]``.
        true: Which image has which label, ``[N, C]``.
        names: Names of the C labels.
    """
    predicted, found = logits > 0, []
    for index, name in enumerate(names):
        truth, positives = true[:, index], int(true[:, index].sum())
        precision, recall, f1, _ = precision_recall_fscore_support(
            truth, predicted[:, index], average="binary", zero_division=0
        )
        occurs, claimed = positives > 0, bool(predicted[:, index].any())
        found.append(
            LabelScore(
                name,
                positives,
                float(average_precision_score(truth, logits[:, index])) if occurs else None,
                float(precision) if claimed else None,
                float(recall) if occurs else None,
                float(f1) if occurs or claimed else None,
            )
        )
    return found


def map_interval(logits: NDArray[np.floating], true: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Compute the 95 % bootstrap interval of the mean average precision over images.

    Args:
        logits: Scores ``[N, C]``.
        true: Which image has which label, ``[N, C]``.

    Returns:
        The interval; None if no image has a label, or it would take more than a few seconds.
    """
    labels = np.flatnonzero(true.any(axis=0))
    times = min(_RESAMPLES, _AFFORDABLE // max(1, len(true) * len(labels)))
    if not len(labels) or times < _FEWEST:
        return None
    ranked = [_Ranking(logits[:, label], true[:, label]) for label in labels]
    means = []
    for weights in resamples(len(true), times):
        precisions = np.stack([ranking.average_precision(weights) for ranking in ranked])
        known = np.isfinite(precisions)
        means.append(np.where(known, precisions, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
    return interval(np.concatenate(means))


class _Ranking:
    """The images ranked for one label, to compute average precision for any weights of the images.

    Args:
        scores: Scores of the images, ``[N]``.
        true: Which images have the label, ``[N]``; at least one.
    """

    def __init__(self, scores: NDArray[np.floating], true: NDArray[np.bool_]) -> None:
        self._order = np.argsort(-scores, kind="stable")
        ranked = -scores[self._order]
        self._true = true[self._order]
        self._positions = np.flatnonzero(self._true)
        self._ends = np.searchsorted(ranked, ranked[self._positions], side="right") - 1  # ties count together

    def average_precision(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute it for each row of weights ``[B, N]``; NaN if no image with the label has a weight above 0."""
        drawn = weights[:, self._order]
        hits = np.cumsum(drawn * self._true, axis=1)[:, self._ends]
        seen = np.cumsum(drawn, axis=1)[:, self._ends]
        positives = drawn[:, self._positions]
        total = positives.sum(axis=1)
        area = (positives * hits / np.maximum(seen, 1)).sum(axis=1)
        return np.where(total > 0, area / np.maximum(total, 1), np.nan)


def worst_labels(
    probabilities: NDArray[np.floating], wrong: NDArray[np.bool_], most: int, *, highest: bool
) -> list[tuple[int, int]]:
    """Find the most confident mistakes, at most one per image, as image and label, worst first.

    Args:
        probabilities: Probability of each label, ``[N, C]``.
        wrong: The mistakes to consider, ``[N, C]``.
        most: Maximum number of mistakes.
        highest: True if mistakes are high probabilities (false positives), False if they are low ones (missed labels).
    """
    size = probabilities if highest else 1 - probabilities
    badness = np.where(wrong, size, -1.0)
    label = badness.argmax(axis=1)
    worst = badness[np.arange(len(badness)), label]
    rows = np.argsort(-worst, kind="stable")[:most]
    return [(int(row), int(label[row])) for row in rows if worst[row] >= 0]
