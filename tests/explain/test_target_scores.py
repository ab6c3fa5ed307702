"""Errors target by target, against numbers worked out by hand or elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import r2_score

from toolkit.explain.target_scores import largest_errors, target_scores
from toolkit.tasks import regression_metrics

GENERATOR = np.random.default_rng(0)
TRUE = GENERATOR.normal((10, 1000), (1, 50), size=(200, 2)).astype(np.float32)
PREDICTED = (TRUE + GENERATOR.normal(0, (0.5, 40), size=TRUE.shape)).astype(np.float32)


def test_by_hand() -> None:
    (found,) = target_scores(np.array([[1.0], [2.0], [6.0]]), np.array([[2.0], [2.0], [5.0]]), ("x",), [4.0]).targets
    assert (found.mse, found.mae, found.bias) == (pytest.approx(2 / 3), pytest.approx(2 / 3), pytest.approx(0))
    assert found.rmse == pytest.approx((2 / 3) ** 0.5)
    assert found.r2 == pytest.approx(1 - 2 / 6)
    assert found.baseline_mae == pytest.approx(5 / 3)
    assert found.baseline_rmse == pytest.approx(3**0.5)
    assert found.baseline_r2 == pytest.approx(1 - 9 / 6)


def test_the_means_are_the_metrics() -> None:
    found = target_scores(PREDICTED, TRUE, ("a", "b"), TRUE.mean(axis=0)).targets
    metrics = regression_metrics(PREDICTED, TRUE)
    assert np.mean([each.r2 for each in found]) == pytest.approx(metrics["r2"])
    assert np.mean([each.mae for each in found]) == pytest.approx(metrics["mae"])
    assert np.mean([each.mse for each in found]) == pytest.approx(metrics["mse"])
    assert all(abs(each.baseline_r2) < 1e-9 for each in found)


def test_intervals_hold_the_values_and_agree_with_resampling_done_plainly() -> None:
    scores = target_scores(PREDICTED, TRUE, ("a", "b"), TRUE.mean(axis=0))
    generator = np.random.default_rng(9)
    rows = generator.integers(0, len(TRUE), (1000, len(TRUE)))
    for t, found in enumerate(scores.targets):
        assert found.mae_interval[0] < found.mae < found.mae_interval[1]
        assert found.r2_interval[0] < found.r2 < found.r2_interval[1]
        plain = np.percentile([r2_score(TRUE[row, t], PREDICTED[row, t]) for row in rows], (2.5, 97.5))
        assert found.r2_interval == pytest.approx(tuple(plain), abs=0.02)
        errors = np.abs(PREDICTED - TRUE)[:, t]
        plain = np.percentile(errors[rows].mean(axis=1), (2.5, 97.5))
        assert found.mae_interval == pytest.approx(tuple(plain), rel=0.02)
    low, high = scores.r2_interval
    assert low < np.mean([each.r2 for each in scores.targets]) < high


@pytest.mark.parametrize("count", [1, 5])
def test_a_target_that_does_not_vary_has_no_r2(count: int) -> None:
    true = np.full((count, 1), 1e6, np.float32)
    scores = target_scores(true + 1, true, ("x",), np.array([1e6]))
    (found,) = scores.targets
    assert (found.r2, found.r2_interval, found.baseline_r2, scores.r2_interval) == (None, None, None, None)
    assert (found.mae, found.mae_interval) == (1.0, (1.0, 1.0))


def test_largest_errors_are_measured_in_each_targets_scale() -> None:
    error = np.array([[1.0, 10.0], [0.0, 0.0], [-3.0, 20.0], [0.5, -500.0]])
    assert largest_errors(error, np.array([1.0, 100.0]), 9) == [(3, 1), (2, 0), (0, 0)]
    assert largest_errors(error, np.array([1.0, 100.0]), 1) == [(3, 1)]
