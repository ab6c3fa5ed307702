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
