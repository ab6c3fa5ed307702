"""LogME's fixed-point iteration against the evidence computed directly, with the covariance of all images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from toolkit.advise import logme


def direct(features: np.ndarray, y: np.ndarray, alpha: float, beta: float) -> float:
    """log p(y) of ``y ~ N(0, 1/beta + F F^T / alpha)``: You et al. 2021, equation 1, without any decomposition."""
    covariance = np.eye(len(y)) / beta + features @ features.T / alpha
    sign, logarithm = np.linalg.slogdet(covariance)
    assert sign > 0
    return -0.5 * (len(y) * np.log(2 * np.pi) + logarithm + y @ np.linalg.solve(covariance, y))


def slow_logme(features: np.ndarray, targets: np.ndarray) -> float:
    found = []
    for y in targets.T:
        starts = [(a, b) for a in (-2.0, 2.0) for b in (-2.0, 2.0)]
        searches = [
            minimize(lambda p, y=y: -direct(features, y, np.exp(p[0]), np.exp(p[1])), start, method="Nelder-Mead")
            for start in starts
        ]
        found.append(-min(search.fun for search in searches))
    return float(np.mean(found)) / len(targets)


@pytest.mark.parametrize(("images", "width"), [(40, 8), (25, 60)])
def test_classes(images: int, width: int) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(images) % 3
    features = rng.normal(size=(images, width)) + 0.8 * rng.normal(size=(3, width))[labels]
    targets = (labels[:, None] == np.arange(3)).astype(float)
    assert logme(features, labels) == pytest.approx(slow_logme(features, targets), abs=2e-3)


def test_numbers() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(40, 6))
    targets = features @ rng.normal(size=(6, 2)) + 0.5 * rng.normal(size=(40, 2))
    scaled = (targets - targets.mean(axis=0)) / targets.std(axis=0)
    assert logme(features, targets, "regression") == pytest.approx(slow_logme(features, scaled), abs=2e-3)


def test_features_that_tell_more_have_more_evidence() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(60) % 3
    noise = rng.normal(size=(60, 10))
    telling = noise + 2 * rng.normal(size=(3, 10))[labels]
    assert logme(telling, labels) > logme(noise, labels) + 0.1


def test_labels_of_several_kinds() -> None:
    rng = np.random.default_rng(3)
    labels = (rng.random((30, 2)) < 0.4).astype(np.float32)
    assert np.isfinite(logme(rng.normal(size=(30, 5)), labels, "multilabel"))


def test_labels_that_do_not_vary_are_left_out() -> None:
    rng = np.random.default_rng(4)
    features = rng.normal(size=(30, 5))
    labels = (rng.random((30, 2)) < 0.4).astype(np.float32)
    for still in (0.0, 1.0):
        more = np.column_stack([labels, np.full(30, still)])
        assert logme(features, more, "multilabel") == logme(features, labels, "multilabel")
    numbers = np.column_stack([features[:, 0], np.full(30, 0.1)])
    assert logme(features, numbers, "regression") == logme(features, numbers[:, :1], "regression")
    assert np.isnan(logme(features, np.zeros((30, 2)), "multilabel"))
    assert np.isnan(logme(features, np.full((30, 1), 0.1), "regression"))


@pytest.mark.parametrize(("images", "width"), [(40, 8), (25, 60)])
def test_the_size_of_features_does_not_count(images: int, width: int) -> None:
    rng = np.random.default_rng(5)
    labels = np.arange(images) % 3
    features = rng.normal(size=(images, width)) + 0.8 * rng.normal(size=(3, width))[labels]
    expected = logme(features, labels)
    for factor in (1e-8, 1e-3, 1e2, 1e4, 1e7, 1e12):
        assert logme(factor * features, labels) == pytest.approx(expected, abs=2e-3)


def test_features_that_tell_nothing_leave_the_evidence_of_noise() -> None:
    labels = np.arange(20) % 2
    noise = -0.5 * (np.log(2 * np.pi * 0.5) + 1)  # of 0 and 1 about 0, whose mean square is one half
    assert logme(np.zeros((20, 6)), labels) == pytest.approx(noise)
    assert np.isnan(logme(np.full((20, 6), np.inf), labels))
