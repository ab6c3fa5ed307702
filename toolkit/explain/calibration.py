"""Calibration: is a classifier that says 80 % right in 80 % of the cases?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Calibration", "measure_calibration"]


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
