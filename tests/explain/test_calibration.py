"""Calibration against a case worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.explain import measure_calibration
from toolkit.explain.calibration import calibration_words


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


def made(groups: list[tuple[float, float, int]]) -> str:
    """The sentence on groups of (confidence, accuracy, images)."""
    confidence = np.concatenate([np.full(count, said) for said, _, count in groups])
    right = np.concatenate([np.arange(count) < round(so * count) for _, so, count in groups])
    return calibration_words(measure_calibration(confidence, right))


def test_the_sentence_agrees_with_both_numbers() -> None:
    assert made([(0.8, 0.8, 500)]) == "The confidence is right: 0.0 points from the accuracy, on average over the bins."
    assert made([(0.9, 0.8, 500)]) == "The confidence is too high: 10.0 points above the accuracy on average."
    assert made([(0.6, 0.8, 500)]) == "The confidence is too low: 20.0 points below the accuracy on average."
    both = made([(0.9, 0.66, 250), (0.6, 0.84, 250)])
    assert "too high in some bins and too low in others, by 24.0 points" in both
    assert "nearly cancel" in both
    few = made([(0.5 + 0.03 * place, place % 2, 1) for place in range(12)])
    assert "too few images to judge" in few
    assert "is right:" not in few + both
