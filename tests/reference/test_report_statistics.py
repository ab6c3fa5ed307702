"""Intervals and calibration of the report, beside scipy's and a loop over samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from toolkit.explain.bootstrap import interval, resamples
from toolkit.explain.calibration import measure_calibration


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_calibration_is_that_of_a_loop_over_samples(bins: int) -> None:
    rng = np.random.default_rng(bins)
    confidence = np.concatenate([rng.beta(4, 2, 400), [0.0, 1.0]])
    right = rng.random(402) < confidence**2
    held: list[list[int]] = [[] for _ in range(bins)]
    for sample, value in enumerate(confidence):
        held[next((m for m in range(bins) if value <= (m + 1) / bins), bins - 1)].append(sample)
    error = sum(abs(right[m].mean() - confidence[m].mean()) * len(m) / 402 for m in held if m)
    found = measure_calibration(confidence, right, bins)
    assert found.error == pytest.approx(error, abs=1e-12)
    assert found.counts.tolist() == [len(m) for m in held]
    assert found.bias == pytest.approx(confidence.mean() - right.mean())


def test_bootstrap_intervals_are_scipys_percentiles() -> None:
    values = np.random.default_rng(0).exponential(size=80)
    drawn = np.concatenate(list(resamples(80, 4000)))
    found = interval(drawn @ values / 80)
    options = {"n_resamples": 4000, "method": "percentile", "random_state": 1}
    expected = bootstrap((values,), np.mean, confidence_level=0.95, **options).confidence_interval
    assert found == pytest.approx((expected.low, expected.high), abs=0.02)
