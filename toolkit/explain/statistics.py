"""Statistics for a report: intervals, class scores, confusions and mistakes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Compute the 95 % confidence interval of a proportion.

    Wilson's score interval (Wilson 1927, JASA 22:209; Brown, Cai & DasGupta 2001, Statistical Science 16:101,
    equation 4), which is accurate for few trials and for proportions near 0 and 1.

    Args:
        successes: Number of successes, in [0, ``trials``].
        trials: Number of trials, >= 1.

    Returns:
        Lower and upper bound, in [0, 1].

    Raises:
        ValueError: There are no trials, or successes are out of range.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials")
    low, high = binomtest(successes, trials).proportion_ci(method="wilson")
    return float(low), float(high)


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        name: The class.
        precision: Fraction of its predictions that are correct; None if it was never predicted.
        recall: Fraction of its images that were found; None if it has no images.
        f1: Harmonic mean of both; None if it was never predicted and has no images.
        support: Number of images of the class.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_scores(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: tuple[str, ...]
) -> list[ClassScore]:
    """Compute precision, recall, F1 and support of all classes in order.

    Args:
        labels: Class indices ``[N]``.
        predicted: Predicted class indices ``[N]``.
        classes: Class names.
    """
    indices = np.arange(len(classes))
    columns = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
    predictions = np.bincount(predicted, minlength=len(classes))
    return [
        ClassScore(
            name,
            float(precision) if predictions[index] else None,
            float(recall) if support else None,
            float(f1) if support or predictions[index] else None,
            int(support),
        )
        for index, (name, precision, recall, f1, support) in enumerate(zip(classes, *columns, strict=True))
    ]


def confusions(labels: NDArray[np.integer], predicted: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Compute the confusion matrix ``[count, count]``: rows are true classes, columns are predicted ones."""
    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(count)), np.int64)


def most_confused(matrix: NDArray[np.int64], most: int) -> list[tuple[int, int, int]]:
    """Find the most frequent confusions as true class, predicted class and count, most frequent first.

    Args:
        matrix: The result of ``confusions``.
        most: Maximum number of confusions.
    """
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (divmod(int(position), len(matrix)) for position in order)
    return [(true, guess, int(wrong[true, guess])) for true, guess in pairs if wrong[true, guess]]


def worst_mistakes(confidence: NDArray[np.floating], right: NDArray[np.bool_], most: int) -> list[int]:
    """Return the positions of the wrong predictions with the highest confidence, most confident first."""
    wrong = np.flatnonzero(~right)
    return [int(row) for row in wrong[np.argsort(-confidence[wrong], kind="stable")][:most]]
