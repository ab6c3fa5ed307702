"""The distance between activations on the data and on the source task, layer by layer.

BatchNorm keeps the mean and variance of each channel over the pretraining images, so no source images are needed. The
distance measures the statistics of edges, colours, textures and contrast as the filters see them: blurred, enlarged or
gray images are far away whatever they show, and images of unknown objects can be close.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_EPSILON = 1e-5
"""Added to variances, as in BatchNorm, so that a dead channel does not give an infinite distance."""


def gaussian_kl(
    mean: NDArray[np.floating],
    variance: NDArray[np.floating],
    source_mean: NDArray[np.floating],
    source_variance: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Compute the Kullback-Leibler divergence of N(mean, variance) from the source's N(source_mean, source_variance).

    ``(log(s2 / d2) + (d2 + (d - s)^2) / s2 - 1) / 2`` (Kullback 1959, "Information Theory and Statistics", chapter 9);
    for BatchNorm statistics as a measure of domain shift, see Li et al. 2016, arXiv:1603.04779.

    Args:
        mean: Mean on the data, ``[C]``.
        variance: Variance on the data, ``[C]``, >= 0.
        source_mean: Mean on the source, ``[C]``.
        source_variance: Variance on the source, ``[C]``, >= 0.

    Returns:
        Nats, ``[C]``, >= 0.
    """
    d2 = np.asarray(variance, np.float64) + _EPSILON
    s2 = np.asarray(source_variance, np.float64) + _EPSILON
    shift = np.asarray(mean, np.float64) - np.asarray(source_mean, np.float64)
    return np.maximum(0.0, 0.5 * (np.log(s2 / d2) + (d2 + shift**2) / s2 - 1.0))


def layer_distance(
    mean: NDArray[np.floating],
    variance: NDArray[np.floating],
    source_mean: NDArray[np.floating],
    source_variance: NDArray[np.floating],
) -> float:
    """Return the median of ``gaussian_kl`` over channels, which is robust to dead channels."""
    return float(np.median(gaussian_kl(mean, variance, source_mean, source_variance)))


class Moments:
    """Running mean and variance of channels over batches.

    Chan et al. 1979, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances", equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean: NDArray[np.float64] = np.zeros(0)
        self._squares: NDArray[np.float64] = np.zeros(0)

    def add(self, count: int, mean: NDArray[np.floating], variance: NDArray[np.floating]) -> None:
        """Add a batch.

        Args:
            count: Number of values per channel.
            mean: Mean of the batch, ``[C]``.
            variance: Population variance of the batch, ``[C]``.
        """
        squares = np.asarray(variance, np.float64) * count
        if not self.count:
            self.count, self.mean, self._squares = count, np.asarray(mean, np.float64), squares
            return
        total, delta = self.count + count, np.asarray(mean, np.float64) - self.mean
        self._squares = self._squares + squares + delta**2 * self.count * count / total
        self.mean = self.mean + delta * count / total
        self.count = total

    @property
    def variance(self) -> NDArray[np.float64]:
        """Population variance, ``[C]``."""
        return self._squares / max(1, self.count)
