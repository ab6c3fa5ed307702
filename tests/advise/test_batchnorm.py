"""Distances between normal distributions, and statistics over batches."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.advise.batchnorm import Moments, gaussian_kl, layer_distance


def test_the_same_statistics_are_no_distance() -> None:
    mean, variance = np.array([0.0, 3.0]), np.array([1.0, 0.2])
    assert gaussian_kl(mean, variance, mean, variance) == pytest.approx([0, 0])


def test_against_the_integral() -> None:
    x = np.linspace(-30, 30, 200_001)

    def density(mean: float, variance: float) -> np.ndarray:
        return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)

    p, q = density(0.5, 2.0), density(-0.3, 1.5)
    integral = float(np.sum(p * np.log(p / q)) * (x[1] - x[0]))
    found = gaussian_kl(np.array([0.5]), np.array([2.0]), np.array([-0.3]), np.array([1.5]))
    assert found[0] == pytest.approx(integral, rel=1e-4)


def test_a_dead_channel_does_not_decide() -> None:
    source = np.zeros(5), np.ones(5)
    data = np.zeros(5), np.array([1, 1, 1, 1, 0.0])
    assert np.isfinite(gaussian_kl(*data, *source)).all()
    assert layer_distance(*data, *source) == 0


def test_moments_over_batches_are_those_of_all() -> None:
    rows = np.random.default_rng(0).normal(5, 2, size=(100, 3))
    moments = Moments()
    for batch in np.split(rows, [10, 45]):
        moments.add(len(batch), batch.mean(axis=0), batch.var(axis=0))
    assert moments.mean == pytest.approx(rows.mean(axis=0))
    assert moments.variance == pytest.approx(rows.var(axis=0))
