"""Multilabel: each image has any number of labels."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks.activations import sigmoid
from toolkit.tasks.base import LOSS, MACRO_F1, Floats, Labels, Metric, Positions, Task, mean_of_neighbours
from toolkit.tasks.strata import by_rarest_label

_HALF = 0.5


class Multilabel(Task):
    """Any number of labels per image; see ``Task``."""

    name = "multilabel"
    metrics = (Metric("map", "mAP", "max"), MACRO_F1, Metric("micro_f1", "micro-F1", "max"), LOSS)
    activation = "sigmoid"
    loss = "binary_cross_entropy"
    outputs = "label"
    plural = "labels"
    labels_are_rows = True
    names_in_cells = True
    row_example = "0,1,0,1"
    averages_outputs = True
    takes_threshold = True
    unsuited = MappingProxyType(
        {
            "data.sampling: balanced": "shows each class equally often, but multilabel has no classes; "
            "train.class_weights: balanced weights labels",
            "train.label_smoothing": "is for classification, not for multilabel",
        }
    )

    def measure(self, outputs: Floats, labels: Labels, scale: Floats | None = None) -> dict[str, float]:
        """See ``multilabel_metrics``."""
        return multilabel_metrics(outputs, labels)

    def decide(self, outputs: Floats) -> Labels:
        """1 for labels with a probability of 0.5 or more, float32 ``[N, C]``."""
        return (sigmoid(outputs) >= _HALF).astype(np.float32)

    def mistakes(self, outputs: Floats, labels: Labels) -> tuple[NDArray[np.bool_], Floats]:
        """Images with a wrong label, and the largest distance of a probability from its label."""
        wrong = (self.decide(outputs) != labels).any(axis=1)
        return wrong, np.abs(sigmoid(outputs) - labels).max(axis=1)

    def words(self, labels: Labels, names: Sequence[str]) -> list[str]:
        """The names of the labels, or ``none``."""
        return [", ".join(name for name, has in zip(names, row, strict=True) if has) or "none" for row in labels]

    def counts(self, labels: Labels, outputs: int) -> Positions:
        """Images with each label."""
        return np.asarray(labels.sum(axis=0, dtype=np.float64), np.int64)

    def unlabelled(self, labels: Labels) -> int:
        """Images without any label."""
        return int((~(labels > 0).any(axis=1)).sum())

    def strata(self, labels: Labels) -> Positions:
        """The rarest label of each image."""
        return by_rarest_label(labels)

    def columns(self, labels: Labels) -> NDArray[np.float64]:
        """The labels as they are."""
        return labels.astype(np.float64)

    def vote(self, labels: Labels, neighbours: Positions, votes: NDArray[np.float64], outputs: int) -> Floats:
        """Log-odds of the labels' shares, with one extra vote of one half, so that no share is 0 or 1."""
        k = votes.shape[1]
        share = (k * mean_of_neighbours(labels, neighbours, votes) + 0.5) / (k + 1)
        return np.log(share) - np.log1p(-share)

    def chance(self, labels: Labels) -> float:
        """Mean share of the labels."""
        return float(labels.mean())


def multilabel_metrics(logits: Floats, labels: Labels) -> dict[str, float]:
    """Mean average precision, F1 at probability 0.5, and mean binary cross entropy.

    Args:
        logits: Scores before the sigmoid, ``[N, C]``, N >= 1.
        labels: 0 or 1, ``[N, C]``.

    Returns:
        ``map`` in [0, 1]: average precision (the area under the precision-recall steps, not interpolated) averaged over
        the labels that some sample has; 0 if there are none. ``macro_f1`` (averaged over all labels; one that neither
        occurs nor is predicted counts 0) and ``micro_f1`` in [0, 1]. ``loss``: nats, mean over samples and labels.
    """
    from sklearn.metrics import average_precision_score, f1_score  # takes a second to import

    scores, true = logits.astype(np.float64), labels > 0.5
    present = np.flatnonzero(true.any(axis=0))
    precisions = [average_precision_score(true[:, label], scores[:, label]) for label in present]
    predicted = scores > 0
    return {
        "map": float(np.mean(precisions)) if precisions else 0.0,
        "macro_f1": float(f1_score(true, predicted, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(true, predicted, average="micro", zero_division=0)),
        "loss": float((np.logaddexp(0.0, scores) - true * scores).mean()),
    }
