"""Cross-validation of a linear head on the training images."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.engine.learning.objective import Objective
from toolkit.engine.solvers.fitters import FITTERS, Fitter
from toolkit.engine.solvers.rows import Rows, Scaling
from toolkit.tasks import TASKS, TaskName

_FOLDS = 5
_ROUGHLY = 1e-4
"""Tolerance of fits that only distinguish strengths that differ by a factor of ten."""
_MUCH = 2 * 10**7
"""Size limit beyond which only a single fifth is held out, as that many images estimate the loss well enough."""


def folds_of(labels: NDArray[Any], task: TaskName) -> list[NDArray[np.int64]]:
    """Images to hold out in turn, in up to five folds; empty if there are too few.

    Each class is spread over all folds. A class's only image is never held out, as the class would be unknown.

    Args:
        labels: Labels of the images, ``[N]`` or ``[N, C]``.
        task: Task, which determines what the labels are.
    """
    order = np.random.default_rng(0).permutation(len(labels))
    order = TASKS[task].held_out_order(labels, order)
    count = min(_FOLDS, len(order), len(labels) - 1)
    return [order[fold::count] for fold in range(count)] if count > 1 else []


class HeldOut:
    """The loss on held-out training images, for one regularisation strength after another.

    Args:
        features: Training rows ``[V * N, D]``: V views of N images, all images of the first view first.
        labels: Labels of the images.
        views: V: all views of an image are held out together.
        objective: The task's loss.
        outputs: Number of classes, labels or targets.
        after_fit: Called after each optimisation.
        scale: Computes the standardisation of some rows.
    """

    def __init__(
        self,
        features: Rows,
        labels: NDArray[Any],
        views: int,
        objective: Objective,
        outputs: int,
        after_fit: Callable[[], None],
        scale: Callable[[Rows], Scaling] = Scaling.of,
    ) -> None:
        self._objective = objective
        images, task = len(labels) // views, objective.task.name
        parts = folds_of(labels[:images], task)
        much = prod(features.shape) * outputs > _MUCH
        self._folds: list[tuple[Fitter, NDArray[np.float32], NDArray[Any]]] = []
        for held in parts[: 1 if much else None]:
            out = np.isin(np.arange(len(labels)) % images, held)
            kept, left = np.flatnonzero(~out), np.sort(held)
            rows = np.asarray(features[kept], np.float32)
            scaling = scale(rows)
            fitter = FITTERS[TASKS[task].loss](scaling.apply(rows), labels[kept], outputs, after_fit, _ROUGHLY)
            self._folds.append((fitter, scaling.apply(np.asarray(features[left], np.float32)), labels[left]))

    def loss(self, regularisation: float) -> float | None:
        """The mean over all held-out images; None if there are none."""
        total, count = 0.0, 0
        for fitter, rows, labels in self._folds:
            weight, bias, _ = fitter.fit(regularisation)
            total += self._objective.metrics(rows @ weight + bias, labels)["loss"] * len(rows)
            count += len(rows)
        return total / count if count else None
