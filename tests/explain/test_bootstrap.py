"""Bootstrap intervals against what theory says of them."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.explain import bootstrap
from toolkit.explain.bootstrap import interval, resamples


@pytest.mark.parametrize(("count", "together"), [(1, 4_000_000), (7, 4_000_000), (7, 20)])
def test_every_resample_has_as_many_samples(monkeypatch: pytest.MonkeyPatch, count: int, together: int) -> None:
    monkeypatch.setattr(bootstrap, "_TOGETHER", together)
    weights = np.concatenate(list(resamples(count, 50)))
    assert weights.shape == (50, count)
    assert (weights.sum(axis=1) == count).all()
    assert weights.min() >= 0


def test_resamples_are_repeatable_and_differ() -> None:
    first, second = (np.concatenate(list(resamples(20, 10))) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len({row.tobytes() for row in first}) == 10


def test_the_interval_of_a_mean_is_about_that_of_the_central_limit_theorem() -> None:
    sample = np.random.default_rng(1).normal(5, 2, 400)
    means = np.concatenate([weights @ sample / 400 for weights in resamples(400, 2000)])
    low, high = interval(means)
    half = 1.96 * sample.std() / 20
    assert (low, high) == pytest.approx((sample.mean() - half, sample.mean() + half), abs=0.02)


def test_what_is_mostly_undefined_has_no_interval() -> None:
    assert interval(np.array([1.0, np.nan, np.nan])) is None
    assert interval(np.array([1.0, np.nan])) is None
    assert interval(np.array([1.0, 1.0, np.nan])) == (1.0, 1.0)
