"""Exact classification metrics over a whole data set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

__all__ = ["METRICS", "classification_metrics", "softmax"]

METRICS = ("loss", "top1", "top5", "macro_f1")


def softmax(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """Probabilities of logits ``[N, C]``, computed without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def classification_metrics(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, float]:
    """Mean cross entropy, top-1, top-5 and macro-F1 over all samples.

    Args:
        logits: Scores before softmax, ``[N, C]``, N >= 1.
        labels: Class indices in [0, C), ``[N]``.

    Returns:
        ``loss`` in nats (mean over samples), ``top1`` and ``top5`` in [0, 1] (with fewer than five classes top5 counts
        all of them), ``macro_f1`` in [0, 1]: F1 averaged over the classes present in labels or predictions.
    """
    scores = logits.astype(np.float64)
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(shifted).sum(axis=1))
    true = shifted[np.arange(len(labels)), labels]
    k = min(5, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    predicted = scores.argmax(axis=1)
    return {
        "loss": float((log_sum - true).mean()),
        "top1": float((predicted == labels).mean()),
        "top5": float((best == labels[:, None]).any(axis=1).mean()),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
    }
