"""Draw a bounded, seeded sample of images in which every prefix represents the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_IMAGES = 2000
"""Default maximum number of images to measure."""
_RANGES = 10


def strata_of(labels: NDArray[Any] | None, count: int) -> NDArray[np.int64]:
    """Assign each image to a stratum.

    Args:
        labels: Class indices ``[N]``; 0/1 ``[N, C]``, where each image's rarest label is used; or targets ``[N, T]``,
            where the first one is used, in ten ranges. None: images without labels.
        count: N.

    Returns:
        Stratum of each image, ``[N]``.
    """
    if labels is None or not count:
        return np.zeros(count, np.int64)
    if labels.ndim == 1:
        return np.asarray(labels, np.int64)
    if np.isin(labels, (0, 1)).all():
        rare_first = np.argsort(labels.sum(axis=0), kind="stable")
        ordered = labels[:, rare_first] > 0
        return np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1]).astype(np.int64)
    rank = np.argsort(np.argsort(labels[:, 0], kind="stable"), kind="stable")
    return np.asarray(rank * _RANGES // count, np.int64)


def sample_rows(strata: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw the positions of a sample, ordered so that every prefix has the proportions of the whole.

    Images are shuffled within each stratum; then all strata are traversed in parallel, each in proportion to its size
    (systematic sampling; Cochran 1977, "Sampling Techniques", section 8.2).

    Args:
        strata: Strata from ``strata_of``.
        most: Maximum number of images, >= 1.
        seed: Seed of the draw.

    Returns:
        At most ``most`` positions; all positions of a smaller set.
    """
    rng = np.random.default_rng((3, seed))
    key = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        key[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(key, kind="stable")[:most].astype(np.int64)
