"""Intervals of anything that is computed from samples: what would other samples have given?

The percentile bootstrap (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13): the samples are drawn
again with replacement many times over, and the middle 95 % of what comes out is the interval.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_TOGETHER = 4_000_000
"""Numbers in memory at once."""
_MARGIN = 2.5


def resamples(count: int, times: int, seed: int = 0) -> Iterator[NDArray[np.float64]]:
    """How often each sample was drawn, in blocks of resamples.

    Args:
        count: Number of samples, N >= 1.
        times: Number of resamples.
        seed: Of the drawing.

    Yields:
        Whole numbers ``[block, N]``; each row sums to N. The blocks have ``times`` rows together.
    """
    generator, block = np.random.default_rng(seed), max(1, _TOGETHER // count)
    for start in range(0, times, block):
        rows = min(block, times - start)
        drawn = generator.integers(0, count, (rows, count)) + count * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype(np.float64)


def interval(values: NDArray[np.float64]) -> tuple[float, float] | None:
    """95 % interval of a statistic.

    Args:
        values: The statistic of each resample, ``[times]``; NaN where it is not defined.

    Returns:
        2.5th and 97.5th percentile; None where the statistic is undefined in half of the resamples or more.
    """
    known = values[np.isfinite(values)]
    if 2 * len(known) <= len(values):
        return None
    low, high = np.percentile(known, (_MARGIN, 100 - _MARGIN))
    return float(low), float(high)
