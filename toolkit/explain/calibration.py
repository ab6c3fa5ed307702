"""Calibration: is a classifier that says 80 % right in 80 % of the cases?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMALL = 0.02
"""Distances of confidence and accuracy that do not matter."""
_CHANCE = 1.3
"""An error of so many times what chance makes is not surely more than that."""


@dataclass(frozen=True)
class Calibration:
    """Confidence beside accuracy, in M bins of equal width over (0, 1].

    Attributes:
        counts: Number of samples in each bin, ``[M]``.
        confidence: Mean confidence in each bin, ``[M]``; 0 where it is empty.
        accuracy: Share of right predictions in each bin, ``[M]``; 0 where it is empty.
        error: Expected calibration error, in [0, 1].
        bias: Mean confidence minus accuracy over all samples, in [-1, 1]; positive when too sure of itself.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float
    bias: float


def measure_calibration(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15) -> Calibration:
    """Compare what a classifier says of itself with what is so.

    Bin m holds the samples with confidence in ((m-1)/M, m/M]; the expected calibration error is the mean distance of
    accuracy and confidence over the bins, weighted by their samples (Guo et al. 2017, arXiv:1706.04599, equation 3).

    Args:
        confidence: Probability of the predicted class, in [0, 1], ``[N]``, N >= 1.
        right: Whether the prediction is right, ``[N]``.
        bins: Number of bins; the paper's 15.
    """
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    full = np.maximum(counts, 1)
    said = np.bincount(place, confidence, minlength=bins) / full
    so = np.bincount(place, right, minlength=bins) / full
    error = float((counts * np.abs(so - said)).sum() / len(place))
    return Calibration(counts, said, so, error, float(np.mean(confidence) - np.mean(right)))


def calibration_words(found: Calibration, said: str = "confidence", so: str = "accuracy") -> str:
    """One sentence that agrees with both numbers: the mean distance in bins, and the distance of the means.

    Args:
        found: What was measured.
        said: How the confidence is called.
        so: How the accuracy is called.
    """
    error, bias = found.error, found.bias
    side = "above" if bias > 0 else "below"
    each = found.counts * found.confidence * (1 - found.confidence)  # variances of the sums of right predictions
    total = found.counts.sum()
    chance = float(np.sqrt(2 / np.pi * each).sum() / total)
    surely = abs(bias) > max(_SMALL, 2 * float(np.sqrt(each.sum())) / total)
    if error <= _SMALL:
        return f"The {said} is right: {_points(error)} from the {so}, on average over the bins."
    if error <= _CHANCE * chance and not surely:
        return (
            f"Whether the {said} is right cannot be told from so few images: {said} and {so} differ by "
            f"{_points(error)} on average over the bins, and chance alone makes about {_points(chance)} of a "
            f"{said} that is right."
        )
    if abs(bias) > _SMALL and abs(bias) >= error / 2:
        return f"The {said} is too {'high' if bias > 0 else 'low'}: {_points(bias)} {side} the {so} on average."
    return (
        f"The {said} is too high in some bins and too low in others, by {_points(error)} on average; these nearly "
        f"cancel out: over all, the {said} is {_points(bias)} {side} the {so}."
    )


def _points(share: float) -> str:
    return f"{100 * abs(share):.1f} points"
