"""Classification: each image has one class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks.activations import softmax
from toolkit.tasks.base import LOSS, MACRO_F1, Floats, Labels, Metric, Positions, Task


class Classification(Task):
    """One class per image; see ``Task``."""

    name = "classification"
    metrics = (
        Metric("top1", "top-1", "max", share=True),
        Metric("top5", "top-5", "max", share=True, least_outputs=6),  # 1 for five classes or fewer
        MACRO_F1,
        LOSS,
    )
    training = ("top1",)
    activation = "softmax"
    loss = "cross_entropy"
    outputs = "class"
    plural = "classes"
    one_class_per_image = True
    calibrated = True

    def measure(self, outputs: Floats, labels: Labels, scale: Floats | None = None) -> dict[str, float]:
        """See ``classification_metrics``."""
        return classification_metrics(outputs, labels)

    def decide(self, outputs: Floats) -> Labels:
        """The class with the highest score."""
        return outputs.argmax(axis=1)

    def mistakes(self, outputs: Floats, labels: Labels) -> tuple[NDArray[np.bool_], Floats]:
        """Images whose most likely class is wrong, and 1 minus the probability of the true class."""
        probabilities = softmax(outputs)
        return self.decide(outputs) != labels, 1 - probabilities[np.arange(len(labels)), labels]

    def words(self, labels: Labels, names: Sequence[str]) -> list[str]:
        """The name of the class."""
        return [names[int(label)] for label in labels]

    def counts(self, labels: Labels, outputs: int) -> Positions:
        """Images of each class."""
        return np.bincount(labels, minlength=outputs)

    def groups(self, labels: Labels) -> list[Positions]:
        """One group per class."""
        return [np.flatnonzero(labels == index) for index in np.unique(labels)]

    def held_out_order(self, labels: Labels, order: Positions) -> Positions:
        """Sorted by class, so that folds are stratified; the only image of a class is never held out."""
        counts = np.bincount(labels)
        if len(np.flatnonzero(counts)) < 2:
            return order[:0]
        order = order[np.argsort(labels[order], kind="stable")]
        return order[counts[labels[order]] > 1]

    def strata(self, labels: Labels) -> Positions:
        """The class."""
        return np.asarray(labels, np.int64)

    def columns(self, labels: Labels) -> NDArray[np.float64]:
        """1 for an image's class, 0 for the others."""
        return (labels[:, None] == np.arange(labels.max() + 1)).astype(np.float64)

    def vote(self, labels: Labels, neighbours: Positions, votes: NDArray[np.float64], outputs: int) -> Floats:
        """Logarithms of the classes' shares, with one extra vote spread evenly, so that no share is 0."""
        k, share = votes.shape[1], np.zeros((len(votes), outputs))
        np.add.at(share, (np.arange(len(votes))[:, None], labels[neighbours]), votes)
        return np.log((k * share + 1 / outputs) / (k + 1))

    def chance(self, labels: Labels) -> float:
        """Share of the largest class."""
        return float(np.bincount(labels).max() / len(labels))

    def comparable(self, labels: Labels) -> Positions:
        """Images of classes with at least two images."""
        return np.flatnonzero(np.bincount(labels)[labels] > 1)

    def renumbered(self, labels: Labels) -> Labels:
        """Class indices from 0, without gaps."""
        return np.unique(labels, return_inverse=True)[1]


def classification_metrics(logits: Floats, labels: Labels) -> dict[str, float]:
    """Top-1, top-5, macro-F1 and mean cross entropy over all samples.

    Args:
        logits: Scores before softmax, ``[N, C]``, N >= 1.
        labels: Class indices in [0, C), ``[N]``.

    Returns:
        ``top1`` and ``top5`` in [0, 1] (with fewer than five classes top5 counts all of them), ``macro_f1`` in [0, 1]:
        F1 averaged over the classes present in labels or predictions, ``loss`` in nats (mean over samples).
    """
    scores = logits.astype(np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    true = shifted[np.arange(len(labels)), labels]
    k = min(5, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    predicted = scores.argmax(axis=1)
    return {
        "top1": float((predicted == labels).mean()),
        "top5": float((best == labels[:, None]).any(axis=1).mean()),
        "macro_f1": _macro_f1(labels, predicted, scores.shape[1]),
        "loss": float((log_sum - true).mean()),
    }


def _macro_f1(labels: Labels, predicted: Labels, classes: int) -> float:
    """F1 averaged over the classes present in labels or predictions: 2 hits / (labelled + predicted)."""
    total = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    hits = np.bincount(labels[labels == predicted], minlength=classes)
    present = total > 0
    return float((2 * hits[present] / total[present]).mean())
