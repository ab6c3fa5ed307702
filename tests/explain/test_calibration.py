"""Calibration against a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.explain import measure_calibration


def test_by_hand() -> None:
    confidence = np.array([0.95, 0.85, 0.55, 0.52, 0.58])
    right = np.array([True, False, True, False, False])
    found = measure_calibration(confidence, right, bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 3, 0, 0, 1, 1]
    assert found.confidence[5] == pytest.approx(0.55)
    assert found.accuracy[5] == pytest.approx(1 / 3)
    assert found.error == pytest.approx((3 * (0.55 - 1 / 3) + 0.85 + 0.05) / 5)
    assert found.bias == pytest.approx(0.69 - 0.4)


def test_bins_are_closed_above_and_nothing_is_lost() -> None:
    found = measure_calibration(np.array([0.0, 0.5, 0.51, 1.0]), np.ones(4, bool), bins=2)
    assert found.counts.tolist() == [2, 2]


def test_a_perfectly_calibrated_one_has_no_error() -> None:
    right = np.arange(100) < 80
    found = measure_calibration(np.full(100, 0.8), right)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert found.bias == pytest.approx(0, abs=1e-12)
