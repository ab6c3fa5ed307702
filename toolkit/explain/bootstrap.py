"""Bootstrap intervals for any statistic of samples.

The percentile bootstrap (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13): samples are redrawn
with replacement many times, and the interval is the middle 95 % of the resulting values.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_TOGETHER = 4_000_000
"""Maximum number of values in memory at once."""
_MARGIN = 2.5


def resamples(count: int, times: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """Draw resamples in blocks, as counts of each sample.

    Args:
        count: Number of samples, N >= 1.
        times: Number of resamples.
        seed: Seed of the draws.

    Yields:
        Integers ``[block, N]``; each row sums to N. The blocks have ``times`` rows in total.
    """
    generator, block = np.random.default_rng(seed), max(1, _TOGETHER // count)
    for start in range(0, times, block):
        rows = min(block, times - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """Compute the 95 % interval of a statistic.

    Args:
        values: The statistic for each resample, ``[times]``; NaN where it is undefined.

    Returns:
        2.5th and 97.5th percentile; None if the statistic is undefined in at least half of the resamples.
    """
    known = values[np.isfinite(values)]
    if 2 * len(known) <= len(values):
        return None
    low, high = np.percentile(known, (_MARGIN, 100 - _MARGIN))
    return float(low), float(high)
