"""Exact metrics over a whole data set, one function per task."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


def softmax(logits: Floats) -> Floats:
    """Probabilities of logits ``[N, C]``, computed without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """Probabilities of independent labels, computed without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))


def classification_metrics(logits: Floats, labels: NDArray[np.integer]) -> dict[str, float]:
    """Top-1, top-5, macro-F1 and mean cross entropy over all samples.

    Args:
        logits: Scores before softmax, ``[N, C]``, N >= 1.
        labels: Class indices in [0, C), ``[N]``.

    Returns:
        ``top1`` and ``top5`` in [0, 1] (with fewer than five classes, top5 covers all of them), ``macro_f1`` in [0, 1]:
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


def _macro_f1(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> float:
    """F1 averaged over the classes present in labels or predictions: 2 hits / (labelled + predicted)."""
    labelled, guessed = (np.bincount(indices, minlength=classes) for indices in (labels, predicted))
    hits = np.bincount(labels[labels == predicted], minlength=classes)
    present = labelled + guessed > 0
    return float((2 * hits[present] / (labelled + guessed)[present]).mean())


def multilabel_metrics(logits: Floats, labels: Floats) -> dict[str, float]:
    """Mean average precision, F1 at probability 0.5, and mean binary cross entropy.

    Args:
        logits: Scores before the sigmoid, ``[N, C]``, N >= 1.
        labels: 0 or 1, ``[N, C]``.

    Returns:
        ``map`` in [0, 1]: average precision (the area under the precision-recall steps, not interpolated) averaged over
        the labels that occur in some sample; 0 if none do. ``macro_f1`` (averaged over all labels; one that is neither
        present nor predicted counts as 0) and ``micro_f1`` in [0, 1]. ``loss``: nats, mean over samples and labels.
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


def regression_metrics(predicted: Floats, targets: Floats, scale: Floats | None = None) -> dict[str, float]:
    """R2, MAE, MSE, and the training loss.

    Args:
        predicted: ``[N, T]`` in the targets' units, N >= 1.
        targets: ``[N, T]``.
        scale: Standard deviation of each target over the training images, ``[T]``; by default 1.

    Returns:
        ``r2``: 1 - squared error / squared deviation from the mean, averaged over the targets (a target that does not
        vary here counts as 1 if predicted exactly, else 0); ``mae`` and ``mse``, averaged over samples and targets, in
        the targets' units and their square; ``loss``: the MSE in units of ``scale``.
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
