"""Labels one by one, the interval of their mean average precision, and the worst mistakes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from toolkit.explain import label_scores as module
from toolkit.explain.bootstrap import resamples
from toolkit.explain.label_scores import label_scores, map_interval, worst_labels
from toolkit.tasks import multilabel_metrics

GENERATOR = np.random.default_rng(0)
TRUE = GENERATOR.random((60, 5)) < np.array([0.5, 0.3, 0.1, 0.9, 0.4])
LOGITS = (2.0 * TRUE + GENERATOR.normal(size=TRUE.shape)).round(1) - 1.0  # rounded, so that there are equal scores


def test_scores_by_hand() -> None:
    true = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]], bool)
    logits = np.array([[2.0, -1.0, -1.0], [-1.0, -1.0, -2.0], [1.0, -1.0, -3.0], [-2.0, 1.0, -4.0]])
    cat, dog, cow = label_scores(logits, true, ("cat", "dog", "cow"))
    assert (cat.positives, cat.precision, cat.recall, cat.f1) == (2, 0.5, 0.5, 0.5)
    assert cat.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (dog.positives, dog.average_precision, dog.precision, dog.recall, dog.f1) == (0, None, 0.0, None, 0.0)
    assert (cow.positives, cow.average_precision, cow.precision, cow.recall, cow.f1) == (1, 1.0, None, 0.0, 0.0)


def test_the_mean_is_the_metric() -> None:
    scores = label_scores(LOGITS, TRUE, tuple("abcde"))
    metrics = multilabel_metrics(LOGITS, TRUE.astype(np.float32))
    assert np.mean([score.average_precision for score in scores]) == pytest.approx(metrics["map"])
    assert np.mean([score.f1 for score in scores]) == pytest.approx(metrics["macro_f1"])


def test_weighted_average_precision_is_scikit_learns() -> None:
    (weights,) = resamples(len(TRUE), 20)
    for label in range(TRUE.shape[1]):
        found = module._Ranking(LOGITS[:, label], TRUE[:, label]).average_precision(weights)
        for row, value in zip(weights, found, strict=True):
            kept = row > 0
            args = TRUE[kept, label], LOGITS[kept, label]
            assert value == pytest.approx(average_precision_score(*args, sample_weight=row[kept]))


def test_a_resample_without_the_label_says_nothing() -> None:
    ranking = module._Ranking(np.array([1.0, 2.0]), np.array([True, False]))
    assert np.isnan(ranking.average_precision(np.array([[0.0, 2.0], [2.0, 0.0]]))).tolist() == [True, False]


def test_the_interval_holds_the_metric() -> None:
    low, high = map_interval(LOGITS, TRUE)
    value = multilabel_metrics(LOGITS, TRUE.astype(np.float32))["map"]
    assert 0.5 < low < value < high < 1
    assert map_interval(np.where(TRUE, 5.0, -5.0), TRUE) == (1.0, 1.0)


def test_no_interval_without_labels_or_for_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    assert map_interval(LOGITS, np.zeros_like(TRUE)) is None
    monkeypatch.setattr(module, "_AFFORDABLE", 1000)
    assert map_interval(LOGITS, TRUE) is None


def test_worst_labels_take_an_image_once() -> None:
    probabilities = np.array([[0.9, 0.8], [0.6, 0.95], [0.1, 0.2], [0.7, 0.3]])
    wrong = np.array([[True, True], [False, True], [False, False], [True, False]])
    assert worst_labels(probabilities, wrong, 9, highest=True) == [(1, 1), (0, 0), (3, 0)]
    assert worst_labels(probabilities, wrong, 2, highest=True) == [(1, 1), (0, 0)]
    missed = np.array([[False, False], [False, False], [True, True], [False, True]])
    assert worst_labels(probabilities, missed, 9, highest=False) == [(2, 0), (3, 1)]
    assert worst_labels(probabilities, np.zeros_like(wrong), 9, highest=True) == []
