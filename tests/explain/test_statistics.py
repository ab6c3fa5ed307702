"""Intervals, scores, confusions and mistakes, against numbers worked out elsewhere or by hand."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.explain.statistics import class_scores, confusions, most_confused, wilson_interval, worst_mistakes


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 1 - 0.1611, 1.0),
    ],
)
def test_wilson_interval(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize("trials", [1, 2, 7, 1000, 10**6])
def test_wilson_interval_stays_between_zero_and_one(trials: int) -> None:
    for successes in {0, 1, trials // 2, trials}:
        low, high = wilson_interval(successes, trials)
        assert 0 <= low <= successes / trials <= high <= 1


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_refuses_nonsense(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="trials"):
        wilson_interval(successes, trials)


def test_class_scores() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 3]), np.array([0, 0, 1, 1, 0, 0])
    cat, dog, cow, pig = class_scores(labels, predicted, ("cat", "dog", "cow", "pig"))
    assert (cat.precision, cat.recall, cat.support) == (0.5, pytest.approx(2 / 3), 3)
    assert cat.f1 == pytest.approx(4 / 7)
    assert (dog.precision, dog.recall, dog.f1, dog.support) == (0.5, 0.5, 0.5, 2)
    assert (cow.precision, cow.recall, cow.f1, cow.support) == (None, None, None, 0)
    assert (pig.precision, pig.recall, pig.f1, pig.support) == (None, 0.0, 0.0, 1)


def test_most_confused_pairs_come_first_and_right_ones_never() -> None:
    labels = np.array([0] * 5 + [1] * 4 + [2] * 3)
    predicted = np.array([0, 0, 1, 1, 2, 1, 1, 0, 2, 0, 0, 0])
    matrix = confusions(labels, predicted, 3)
    assert matrix.tolist() == [[2, 2, 1], [1, 2, 1], [3, 0, 0]]
    assert most_confused(matrix, 2) == [(2, 0, 3), (0, 1, 2)]
    assert len(most_confused(matrix, 99)) == 5


def test_worst_mistakes_are_the_most_confident() -> None:
    confidence = np.array([0.9, 0.6, 0.99, 0.8, 0.7])
    right = np.array([False, False, True, False, False])
    assert worst_mistakes(confidence, right, 3) == [0, 3, 4]
    assert worst_mistakes(confidence, np.ones(5, bool), 3) == []
