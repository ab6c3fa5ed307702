"""The numbers of a report: intervals, classes, confusions and mistakes."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

_NORMAL_QUANTILE = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """95 % confidence interval of a proportion.

    Wilson's score interval (Wilson 1927, JASA 22:209; Brown, Cai & DasGupta 2001, Statistical Science 16:101,
    equation 4): good for few trials, and for proportions near 0 and 1.

    Args:
        successes: In [0, ``trials``].
        trials: 1 or more.

    Returns:
        Lower and upper bound, in [0, 1].

    Raises:
        ValueError: There are no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes in {trials} trials")
    z2 = _NORMAL_QUANTILE**2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = _NORMAL_QUANTILE * sqrt(share * (1 - share) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    low = 0.0 if successes == 0 else centre - half
    return low, 1.0 if successes == trials else centre + half


@dataclass(frozen=True)
class ClassScore:
    """How well one class is recognised.

    Attributes:
        name: The class.
        precision: Share of its predictions that are right; None when it was never predicted.
        recall: Share of its images that were found; None when it has no images.
        f1: Harmonic mean of both; None when it was neither predicted nor has images.
        support: Number of its images.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_scores(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: tuple[str, ...]
) -> list[ClassScore]:
    """Precision, recall, F1 and support of every class, in the order of the classes.

    Args:
        labels: Class indices ``[N]``.
        predicted: Predicted class numbers ``[N]``.
        classes: Class names.
    """
    numbers = np.arange(len(classes))
    columns = precision_recall_fscore_support(labels, predicted, labels=numbers, zero_division=0)
    said = np.bincount(predicted, minlength=len(classes))
    return [
        ClassScore(
            name,
            float(precision) if said[index] else None,
            float(recall) if support else None,
            float(f1) if support or said[index] else None,
            int(support),
        )
        for index, (name, precision, recall, f1, support) in enumerate(zip(classes, *columns, strict=True))
    ]


def confusions(labels: NDArray[np.integer], predicted: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Confusion matrix ``[count, count]``: a row for each true class, a column for each predicted one."""
    return np.asarray(confusion_matrix(labels, predicted, labels=np.arange(count)), np.int64)


def most_confused(matrix: NDArray[np.int64], most: int) -> list[tuple[int, int, int]]:
    """The most frequent confusions: true class, predicted class and number, most frequent first.

    Args:
        matrix: From ``confusions``.
        most: At most so many.
    """
    wrong = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = (divmod(int(place), len(matrix)) for place in order)
    return [(true, said, int(wrong[true, said])) for true, said in pairs if wrong[true, said]]


def worst_mistakes(confidence: NDArray[np.floating], right: NDArray[np.bool_], most: int) -> list[int]:
    """Positions of the wrong predictions with the highest confidence, most confident first."""
    wrong = np.flatnonzero(~right)
    return [int(row) for row in wrong[np.argsort(-confidence[wrong], kind="stable")][:most]]
