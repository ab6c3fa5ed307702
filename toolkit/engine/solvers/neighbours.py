"""Nearest neighbours among the training features: the quality of the features before any training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine.learning.objective import make_objective
from toolkit.engine.solvers.rows import Rows, chunks_of, labels_of
from toolkit.tasks import TASKS, TaskName

_BLOCK = 2**24
"""Maximum number of similarities in memory: 64 MB of float32."""


def knn_baseline(
    features: Rows,
    labels: NDArray[Any],
    val_features: Rows,
    val_labels: NDArray[Any],
    task: TaskName,
    *,
    num_classes: int,
    k: Sequence[int] = (1, 5, 20),
    temperature: float = 0.07,
) -> dict[int, dict[str, float]]:
    """Metrics of predicting each validation image from its k most similar training images.

    Similarity is the cosine of the angle between features. A class's or label's share is the neighbours' vote,
    weighted with ``exp(similarity / temperature)`` (Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric
    Instance Discrimination", arXiv 1805.01978, section 3.4); for the loss, one more vote is spread evenly, so that no
    share is 0. For regression it is the plain mean of the neighbours' targets. Among equal similarities the earlier
    training image is nearer.

    Memory: features are read in chunks; 64 MB of similarities at a time, and a few arrays of M x C.

    Args:
        features: Training rows ``[N, D]``, N >= 1.
        labels: Class indices ``[N]``, 0/1 ``[N, C]`` or targets ``[N, C]``.
        val_features: Validation rows ``[M, D]``, M >= 1.
        val_labels: Labels of the validation rows.
        task: Task, which determines what the labels are.
        num_classes: C, the number of classes, labels or targets.
        k: Numbers of neighbours, each >= 1, capped at N.
        temperature: Temperature of the vote, > 0.

    Returns:
        The task's metrics for each k, in the order given.

    Raises:
        TrainingError: Features are not finite, or there are no rows.
        ValueError: Features and labels do not match, or a k or the temperature is not positive.
    """
    labels = labels_of(features, labels, "training images")
    val_labels = labels_of(val_features, val_labels, "validation images")
    if not k or min(k) < 1 or not temperature > 0:
        raise ValueError(f"k {list(k)} and temperature {temperature}: expected numbers above 0")
    indices, similarities = _nearest(features, val_features, min(max(k), len(labels)))
    objective, metrics = make_objective(task, scale=TASKS[task].scale_of(labels)), {}
    for count in k:
        near = similarities[:, :count].astype(np.float64)
        votes = np.exp((near - near[:, :1]) / temperature)
        votes /= votes.sum(axis=1, keepdims=True)
        outputs = TASKS[task].vote(labels, indices[:, :count], votes, num_classes)
        metrics[count] = objective.metrics(outputs, val_labels)
    return metrics


def _nearest(features: Rows, queries: Rows, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Row indices and cosines of the k nearest training rows of each query, nearest first: two ``[M, k]``."""
    indices = np.zeros((queries.shape[0], k), np.int64)
    cosines = np.full((queries.shape[0], k), -np.inf, np.float32)
    for asked, chunk in chunks_of(queries):
        unit = _unit(chunk)
        for place, known in chunks_of(features):
            rows = _unit(known).T
            step = max(1, _BLOCK // len(known))
            for first in range(0, len(unit), step):
                similarity = unit[first : first + step] @ rows
                block = slice(asked.start + first, asked.start + first + len(similarity))
                nearer, values = _largest(similarity, min(k, len(known)))
                candidates = np.concatenate([indices[block], nearer + place.start], axis=1)
                order, cosines[block] = _largest(np.concatenate([cosines[block], values], axis=1), k)
                indices[block] = np.take_along_axis(candidates, order, axis=1)
    return indices, cosines


def _largest(values: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Columns and values of the k largest of each row, largest first, ties by column."""
    columns = np.sort(np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)
    largest = np.take_along_axis(values, columns, axis=1)
    order = np.argsort(-largest, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(largest, order, axis=1)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalise rows to length 1; zeros stay zero."""
    unit: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-30))
    return unit
