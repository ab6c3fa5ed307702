"""Curves with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.engine.lr.curve import diverged, read_curve, rising_rates, smoothed

RATES = rising_rates(1e-5, 10.0, 100)


def valley(fall: float, rise: float) -> NDArray[np.float64]:
    """A loss that falls around one rate and rises from another."""
    logs = np.log10(RATES)
    down = 1 / (1 + np.exp(5 * (logs - np.log10(fall))))
    return np.asarray(0.1 + down + np.maximum(0, logs - np.log10(rise)) ** 2)


def test_rates_rise_by_a_constant_factor() -> None:
    assert RATES[0] == pytest.approx(1e-5)
    assert RATES[-1] == pytest.approx(10)
    assert np.ptp(RATES[1:] / RATES[:-1]) < 1e-9


def test_smoothing_removes_noise_and_shifts_nothing() -> None:
    steps = np.where(np.arange(100) < 50, 1.0, 0.0)
    smooth = smoothed(steps)
    assert smooth[49] + smooth[50] == pytest.approx(1, abs=1e-6), "a fall stays where it was"
    noise = np.random.default_rng(0).normal(1, 0.1, 100)
    assert smoothed(noise).std() < 0.05
    np.testing.assert_allclose(smoothed(np.full(30, 2.0)), 2.0)


def test_divergence_does_not_raise_the_steps_before_it() -> None:
    calm = valley(1e-3, 1e9)
    wild = calm.copy()
    wild[-1] = 1e6
    np.testing.assert_allclose(smoothed(wild)[:80], smoothed(calm)[:80], rtol=1e-3)


def test_steepest_point_and_minimum() -> None:
    found = read_curve("head", RATES, valley(1e-3, 0.1), stopped=True)
    assert found.steepest == pytest.approx(1e-3, rel=0.5)
    assert 1e-3 < found.min_tenth * 10 < 0.3
    assert found.suggestion == pytest.approx(max(found.steepest or 0, found.min_tenth), rel=0.05)
    assert found.diverged


def test_both_suggestions_may_win_and_the_reason_says_which() -> None:
    early = read_curve("head", RATES, valley(1e-3, 2e-3), stopped=True)
    assert early.suggestion == pytest.approx(early.steepest or 0, rel=0.05)
    assert "falls fastest, which is above" in early.reason
    slow = 1.0 - 0.1 * np.log10(RATES / RATES[0])
    slow[:15] -= np.linspace(0, 0.3, 15)
    slow[15:] -= 0.3
    late = read_curve("head", RATES, slow, stopped=False)
    assert late.suggestion == pytest.approx(late.min_tenth, rel=0.05)
    assert "which is above where it falls fastest" in late.reason


def test_a_long_plateau_counts_from_its_beginning() -> None:
    losses = 1 / (1 + (RATES / 1e-3) ** 1.5)
    found = read_curve("head", RATES, losses, stopped=False)
    assert found.min_tenth < 0.01
    assert found.min_tenth == pytest.approx(found.near_least / 10)
    assert found.least > 2 * found.near_least
    assert found.least == found.rates[int(np.argmin(found.smooth))], "the reason names the curve's own minimum"
    assert "near its minimum" in found.reason


def test_a_flat_curve_has_no_steepest_point() -> None:
    noise = np.random.default_rng(0).normal(1, 1e-3, 100)
    found = read_curve("backbone", RATES, noise, stopped=False)
    assert found.steepest is None
    assert "hardly falls" in found.reason


def test_the_last_loss_may_be_nan() -> None:
    losses = [*valley(1e-3, 0.1)[:60], float("nan")]
    found = read_curve("head", list(RATES[:61]), losses, stopped=True)
    assert len(found.rates) == len(found.losses) == len(found.smooth) == 60
    assert np.isfinite(found.suggestion)


def test_divergence() -> None:
    assert not diverged([1.0])
    assert not diverged([1.0] * 20)
    assert not diverged([1.0] * 20 + [8.0])
    assert diverged([1.0] * 20 + [30.0] * 5)
    assert diverged([1.0, float("nan")])
    assert diverged([1.0, float("inf")])


def test_plain_values() -> None:
    found = read_curve("head", RATES, valley(1e-3, 0.1), stopped=False).to_json()
    assert list(found) == [
        "part", "rates", "losses", "smooth", "diverged", "steepest", "least", "near_least", "min_tenth",
        "suggestion", "reason",
    ]  # fmt: skip
    assert isinstance(found["rates"], list)
