"""Calibration: is a classifier right in 80 % of the cases in which it is 80 % confident?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMALL = 0.02
"""Differences between confidence and accuracy that do not matter."""
_CHANCE = 1.3
"""Up to this many times the error expected by chance, an error is not significant."""


@dataclass(frozen=True)
class Calibration:
    """Confidence and accuracy in M bins of equal width over (0, 1].

    Attributes:
        counts: Number of samples in each bin, ``[M]``.
        confidence: Mean confidence in each bin, ``[M]``; 0 for empty bins.
        accuracy: Fraction of correct predictions in each bin, ``[M]``; 0 for empty bins.
        error: Expected calibration error, in [0, 1].
        bias: Mean confidence minus accuracy over all samples, in [-1, 1]; positive if overconfident.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    error: float
    bias: float


def measure_calibration(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = 15) -> Calibration:
    """Compare a classifier's confidence with its accuracy.

    Bin m holds the samples with confidence in ((m-1)/M, m/M]. The expected calibration error is the mean difference
    between accuracy and confidence over the bins, weighted by their samples (Guo et al. 2017, arXiv:1706.04599,
    equation 3).

    Args:
        confidence: Probability of the predicted class, in [0, 1], ``[N]``, N >= 1.
        right: Whether the prediction is correct, ``[N]``.
        bins: Number of bins; 15 in the paper.
    """
    bin_index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(bin_index, minlength=bins)
    full = np.maximum(counts, 1)
    mean_confidence = np.bincount(bin_index, confidence, minlength=bins) / full
    accuracy = np.bincount(bin_index, right, minlength=bins) / full
    error = float((counts * np.abs(accuracy - mean_confidence)).sum() / len(bin_index))
    return Calibration(counts, mean_confidence, accuracy, error, float(np.mean(confidence) - np.mean(right)))


def calibration_words(found: Calibration, confidence: str = "confidence", accuracy: str = "accuracy") -> str:
    """Describe calibration in one sentence, consistent with both the mean difference in bins and that of the means.

    Args:
        found: The measured calibration.
        confidence: Name of the confidence.
        accuracy: Name of the accuracy.
    """
    error, bias = found.error, found.bias
    side = "above" if bias > 0 else "below"
    variances = found.counts * found.confidence * (1 - found.confidence)  # of the number of correct predictions
    total = found.counts.sum()
    chance = float(np.sqrt(2 / np.pi * variances).sum() / total)
    significant = abs(bias) > max(_SMALL, 2 * float(np.sqrt(variances.sum())) / total)
    if error <= _SMALL:
        return f"The {confidence} is right: {_points(error)} from the {accuracy}, on average over the bins."
    if error <= _CHANCE * chance and not significant:
        return (
            f"There are too few images to judge the {confidence}: {confidence} and {accuracy} differ "
            f"by {_points(error)} on average over the bins, and even with a correct {confidence}, chance would cause "
            f"about {_points(chance)}."
        )
    if abs(bias) > _SMALL and abs(bias) >= error / 2:
        level = "high" if bias > 0 else "low"
        return f"The {confidence} is too {level}: {_points(bias)} {side} the {accuracy} on average."
    return (
        f"The {confidence} is too high in some bins and too low in others, by {_points(error)} on average; these "
        f"nearly cancel out: overall, the {confidence} is {_points(bias)} {side} the {accuracy}."
    )


def _points(share: float) -> str:
    return f"{100 * abs(share):.1f} points"
