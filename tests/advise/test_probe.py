"""Probes on features of which it is known what they tell."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.advise.confidence import prediction_confidence
from toolkit.advise.probe import knn_score, linear_score, skill
from toolkit.advise.sample import sample_rows, strata_of
from toolkit.tasks import TASKS

RNG = np.random.default_rng


def clusters(count: int = 60, classes: int = 3, apart: float = 6.0) -> tuple[np.ndarray, np.ndarray]:
    labels = np.arange(count) % classes
    return RNG(0).normal(size=(count, 10)) + apart * RNG(1).normal(size=(classes, 10))[labels], labels


@pytest.mark.parametrize("score", [linear_score, knn_score])
def test_separate_classes_score_high(score: type) -> None:
    features, labels = clusters()
    assert score(features, labels).score == 1
    noise = RNG(2).normal(size=features.shape)
    assert abs(score(noise, labels).score - 1 / 3) < 0.2


def test_the_linear_probe_is_not_asked_about_images_that_it_saw() -> None:
    features = RNG(0).normal(size=(40, 400))  # more features than images: anything can be learned by heart
    assert linear_score(features, np.arange(40) % 2).score < 0.75


def test_two_images_of_a_class_are_enough() -> None:
    features, labels = clusters(8, 4, apart=20)
    assert linear_score(features, labels).score > 0.8
    assert knn_score(features, labels).score == 1


def test_labels_and_targets() -> None:
    features, classes = clusters()
    rows = (classes[:, None] == np.arange(3)).astype(np.float32)
    assert linear_score(features, rows, "multilabel").score > 0.95
    assert knn_score(features, rows, "multilabel").score > 0.95
    targets = (features[:, :2] * 3 + 1).astype(np.float32)
    assert linear_score(features, targets, "regression").score > 0.95
    assert linear_score(RNG(5).normal(size=features.shape), targets, "regression").score < 0.3


def test_chance_and_skill() -> None:
    assert TASKS["classification"].chance(np.array([0, 0, 0, 1])) == 0.75
    assert TASKS["multilabel"].chance(np.array([[0.0, 1.0], [0.0, 1.0]])) == 0.5
    assert skill(0.875, 0.75) == 0.5
    assert skill(0.5, 0.75) == 0
    assert skill(1.0, 1.0) == 0


def test_classes_of_one_image_are_left_out() -> None:
    assert TASKS["classification"].comparable(np.array([0, 1, 1, 2, 1])).tolist() == [1, 2, 4]


def test_certainty() -> None:
    sure = prediction_confidence(np.array([[20.0, 0, 0], [0, 20.0, 0]]))
    unsure = prediction_confidence(np.zeros((2, 3)))
    assert sure.confidence == pytest.approx(1, abs=1e-6)
    assert sure.entropy == pytest.approx(0, abs=1e-6)
    assert (unsure.confidence, unsure.entropy) == pytest.approx((1 / 3, 1))


def test_every_beginning_of_a_sample_is_like_the_whole() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    rows = sample_rows(strata_of(labels, 1000, "classification"), 200, seed=1)
    assert len(set(rows.tolist())) == 200
    for count in (20, 100, 200):
        shares = np.bincount(labels[rows[:count]], minlength=3) / count
        assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.06)
    assert rows.tolist() == sample_rows(strata_of(labels, 1000, "classification"), 200, seed=1).tolist()
    assert rows.tolist() != sample_rows(strata_of(labels, 1000, "classification"), 200, seed=2).tolist()
    assert sorted(sample_rows(strata_of(None, 5, "classification"), 200, 0).tolist()) == [0, 1, 2, 3, 4]


def test_strata_of_rows() -> None:
    several = np.array([[1, 0], [1, 1], [0, 0], [1, 0]], np.float32)
    assert strata_of(several, 4, "multilabel").tolist() == [1, 0, 2, 1]  # the rarest label first, none last
    ranges = strata_of(np.arange(50, dtype=np.float32)[:, None], 50, "regression")
    assert np.bincount(ranges).tolist() == [5] * 10
