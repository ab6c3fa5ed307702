"""Draw a bounded, seeded sample of images in which every prefix represents the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.random import Stream, generator
from toolkit.tasks import TASKS, TaskName

MOST_IMAGES = 2000
"""Default maximum number of images to measure."""


def strata_of(labels: NDArray[Any] | None, count: int, task: TaskName) -> NDArray[np.int64]:
    """Assign each image to a stratum.

    Args:
        labels: Labels of all images; None: images without labels.
        count: N.
        task: What the labels are.

    Returns:
        Stratum of each image, ``[N]``.
    """
    return np.zeros(count, np.int64) if labels is None or not count else TASKS[task].strata(labels)


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
    rng = generator(Stream.ADVICE_SAMPLE, seed)
    key = np.empty(len(strata))
    for stratum in np.unique(strata):
        members = rng.permutation(np.flatnonzero(strata == stratum))
        key[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(key, kind="stable")[:most].astype(np.int64)
