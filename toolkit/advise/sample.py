"""Which images are looked at: a bounded sample, drawn with a seed, in which every part is like the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_IMAGES = 2000
"""Images that are looked at, by default."""
_RANGES = 10


def strata_of(labels: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    """A number for each image; those of one number are alike for the draw.

    Args:
        labels: Class indices ``[N]``; 0/1 ``[N, C]``, of which the rarest label counts that an image has; targets
            ``[N, T]``, of which the first counts, in ten ranges. None: images without labels.
        count: N.

    Returns:
        ``[N]``.
    """
    if labels is None or not count:
        return np.zeros(count, np.int64)
    if labels.ndim == 1:
        return np.asarray(labels, np.int64)
    if np.isin(labels, (0, 1)).all():
        rare_first = np.argsort(labels.sum(axis=0), kind="stable")
        ordered = labels[:, rare_first] > 0
        return np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1]).astype(np.int64)
    place = np.argsort(np.argsort(labels[:, 0], kind="stable"), kind="stable")
    return np.asarray(place * _RANGES // count, np.int64)


def sample_rows(strata: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Positions of the sample, in an order of which every beginning has the shares of the whole.

    Within each stratum the images are shuffled; then all strata are gone through side by side, each at the pace of its
    size (systematic sampling; Cochran 1977, "Sampling Techniques", section 8.2).

    Args:
        strata: From ``strata_of``.
        most: Images at most, >= 1.
        seed: Of the draw.

    Returns:
        At most ``most`` positions; of a set that is not larger, all.
    """
    rng = np.random.default_rng((3, seed))
    key = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        key[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(key, kind="stable")[:most].astype(np.int64)
