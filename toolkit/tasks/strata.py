"""Strata of images that have rows of labels or targets."""

from __future__ import annotations

import numpy as np

from toolkit.tasks.base import Labels, Positions

_RANGES = 10


def by_rarest_label(labels: Labels) -> Positions:
    """The rarest label that each image has, by its place from the rarest on; C where it has none.

    Args:
        labels: 0 or 1, ``[N, C]``.
    """
    rare_first = np.argsort(labels.sum(axis=0), kind="stable")
    ordered = labels[:, rare_first] > 0
    return np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1]).astype(np.int64)


def by_range(values: Labels) -> Positions:
    """Which of ten ranges of equally many images each value is in.

    Args:
        values: ``[N]``, N >= 1.
    """
    place = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(place * _RANGES // len(values), np.int64)
