"""Strata for rows of labels or targets."""

from __future__ import annotations

import numpy as np

from toolkit.tasks.base import Labels, Positions

_RANGES = 10


def by_rarest_label(labels: Labels) -> Positions:
    """Return the rarest label of each image as a rank, 0 for the rarest; C for images without labels.

    Args:
        labels: 0 or 1, ``[N, C]``.
    """
    rare_first = np.argsort(labels.sum(axis=0), kind="stable")
    ordered = labels[:, rare_first] > 0
    return np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1]).astype(np.int64)


def by_range(values: Labels) -> Positions:
    """Return which of ten equally populated ranges each value falls into.

    Args:
        values: ``[N]``, N >= 1.
    """
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(rank * _RANGES // len(values), np.int64)
