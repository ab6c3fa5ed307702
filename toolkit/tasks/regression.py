"""Regression: each image has one number per target."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks.base import LOSS, Floats, Labels, Metric, Positions, Task, mean_of_neighbours
from toolkit.tasks.strata import by_range, by_rarest_label

_NO_CLASSES = "is for classes and labels, but regression has none"


class Regression(Task):
    """One number per target; see ``Task``."""

    name = "regression"
    metrics = (
        Metric("r2", "R2", "max", floor=-1.0),  # no lower bound: one bad epoch would flatten the rest
        Metric("mae", "MAE", "min", in_units=True),
        Metric("mse", "MSE", "min", in_units=True),
        LOSS,
    )
    activation = "none"
    loss = "squared_error"
    outputs = "target"
    plural = "targets"
    labels_are_rows = True
    row_example = "1.5 or 1.5,2"
    predicts_numbers = True
    averages_outputs = True
    head_optimizer = "adamw"
    unsuited = MappingProxyType(
        {
            "data.sampling: balanced": "shows each class equally often, but regression has no classes",
            "train.loss": _NO_CLASSES,
            "train.class_weights": _NO_CLASSES,
            "train.cutmix": "mixes labels by area, which has no meaning for targets: use train.mixup for regression",
            "train.label_smoothing": "is for classification, not for regression",
            "model.head cosine": "compares directions and cannot predict numbers: use linear or mlp",
        }
    )

    def measure(self, outputs: Floats, labels: Labels, scale: Floats | None = None) -> dict[str, float]:
        """See ``regression_metrics``."""
        return regression_metrics(outputs, labels, scale)

    def decide(self, outputs: Floats) -> Labels:
        """The numbers themselves."""
        return outputs

    def words(self, labels: Labels, names: Sequence[str]) -> list[str]:
        """The numbers, to four digits."""
        return [", ".join(f"{value:.4g}" for value in row) for row in labels]

    def counts(self, labels: Labels, outputs: int) -> Positions:
        """All images have a number for every target."""
        return np.full(outputs, len(labels), np.int64)

    def default_names(self, outputs: int) -> tuple[str, ...]:
        """``target`` for a single one, else their indices."""
        return ("target",) if outputs == 1 else super().default_names(outputs)

    def scale_of(self, labels: Labels) -> NDArray[np.float64]:
        """Standard deviation of each target ``[C]``, in its unit; 1 for a constant target."""
        std: NDArray[np.float64] = labels.std(axis=0, dtype=np.float64)
        return np.where(std > 0, std, 1.0)

    def strata(self, labels: Labels) -> Positions:
        """The range of the first target; targets that are all 0 or 1 are treated as labels."""
        return by_rarest_label(labels) if np.isin(labels, (0, 1)).all() else by_range(labels[:, 0])

    def columns(self, labels: Labels) -> NDArray[np.float64]:
        """The targets as they are."""
        return labels.astype(np.float64)

    def vote(self, labels: Labels, neighbours: Positions, votes: NDArray[np.float64], outputs: int) -> Floats:
        """The plain mean of the neighbours' targets."""
        return mean_of_neighbours(labels, neighbours, np.full_like(votes, 1 / votes.shape[1]))

    def chance(self, labels: Labels) -> float:
        """R2 of the mean."""
        return 0.0


def regression_metrics(predicted: Floats, targets: Labels, scale: Floats | None = None) -> dict[str, float]:
    """R2, MAE, MSE, and the training loss.

    Args:
        predicted: ``[N, T]`` in the targets' units, N >= 1.
        targets: ``[N, T]``.
        scale: Standard deviation of each target over the training images, ``[T]``; by default 1.

    Returns:
        ``r2``: 1 - squared error / squared deviation from the mean, averaged over the targets (a target that does not
        vary here counts 1 if it is predicted exactly, else 0); ``mae`` and ``mse``, averaged over samples and targets,
        in the targets' units and their square; ``loss``: the MSE in units of ``scale``.
    """
    error = predicted.astype(np.float64) - targets
    squared = (error**2).sum(axis=0)
    total = ((targets - targets.mean(axis=0, dtype=np.float64)) ** 2).sum(axis=0)
    constant = np.where(squared > 0, 0.0, 1.0)
    r2 = np.where(total > 0, 1 - squared / np.where(total > 0, total, 1), constant)
    return {
        "r2": float(r2.mean()),
        "mae": float(np.abs(error).mean()),
        "mse": float((error**2).mean()),
        "loss": float(((error / (1.0 if scale is None else scale)) ** 2).mean()),
    }
