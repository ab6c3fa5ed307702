"""Class weights in the loss, from the number of images per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.core.errors import ConfigError
from toolkit.core.names import nearest
from toolkit.data import DataBundle
from toolkit.tasks import TASKS

Wanted = str | Mapping[str, float]


def class_weights(wanted: Wanted | None, beta: float, data: DataBundle) -> NDArray[np.float32] | None:
    """The weights for ``train.class_weights``.

    - ``balanced``: N / (C n_c) for class c with n_c of N training images, as in scikit-learn (King and Zeng,
      "Logistic Regression in Rare Events Data", 2001). A label of a multilabel task is a problem of two classes: its
      positives weigh (negatives / positives) against its negatives.
    - ``effective``: 1 / E(n_c), E(n) = (1 - beta^n) / (1 - beta), scaled to a sum of C (Cui et al., "Class-Balanced
      Loss Based on Effective Number of Samples", arXiv 1901.05555, proposition 1 and section 4). Positives:
      E(negatives) / E(positives).
    - A mapping: its numbers, and 1 for classes that it does not name.

    A class or label without training images, or with only positive ones, has weight 1.

    Args:
        wanted: One of the above; None: no weights.
        beta: For ``effective``, in [0, 1).
        data: Classes, and training images to count.

    Returns:
        ``[C]``, above 0; multilabel: weights of the positives. None if all classes have equal weight by default.

    Raises:
        ConfigError: The mapping names an unknown class.
    """
    if wanted is None:
        return None
    if not isinstance(wanted, str):
        return _given(wanted, data.classes)
    labels = data.train.labels
    if TASKS[data.task].labels_are_rows:
        counts = labels.sum(axis=0, dtype=np.float64)
        others = len(labels) - counts
        if wanted == "effective":
            counts, others = _effective(counts, beta), _effective(others, beta)
        return _ratio(others, counts).astype(np.float32)
    counts = np.bincount(labels, minlength=len(data.classes)).astype(np.float64)
    if wanted == "effective":
        weights = _ratio(np.ones_like(counts), _effective(counts, beta))
        return (weights * len(counts) / weights.sum()).astype(np.float32)
    return _ratio(np.full_like(counts, counts.sum() / len(counts)), counts).astype(np.float32)


def _given(wanted: Mapping[str, float], classes: Sequence[str]) -> NDArray[np.float32]:
    unknown = [name for name in wanted if name not in classes]
    if unknown:
        raise ConfigError(f"train.class_weights: the data have no {unknown[0]!r}", hint=nearest(unknown[0], classes))
    return np.array([wanted.get(name, 1.0) for name in classes], np.float32)


def _effective(counts: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    return (1 - beta**counts) / (1 - beta)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elementwise ratio; 1 where either is 0."""
    there = (above > 0) & (below > 0)
    return np.where(there, above / np.where(there, below, 1), 1.0)
