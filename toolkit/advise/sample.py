"""Which images are looked at: a bounded sample, drawn with a seed, in which every part is like the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.random import Stream, generator
from toolkit.tasks import TASKS, TaskName

MOST_IMAGES = 2000
"""Images that are looked at, by default."""


def strata_of(labels: NDArray[Any] | None, count: int, task: TaskName) -> NDArray[np.int64]:
    """A number for each image; those of one number are alike for the draw.

    Args:
        labels: Of all images; None: images without labels.
        count: N.
        task: What the labels are.

    Returns:
        ``[N]``.
    """
    return np.zeros(count, np.int64) if labels is None or not count else TASKS[task].strata(labels)


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
    rng = generator(Stream.ADVICE_SAMPLE, seed)
    key = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        key[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(key, kind="stable")[:most].astype(np.int64)
