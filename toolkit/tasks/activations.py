"""Activations in NumPy."""

from __future__ import annotations

import numpy as np

from toolkit.tasks.base import Floats


def softmax(logits: Floats) -> Floats:
    """Return the probabilities of logits ``[N, C]``, computed without overflow."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


def sigmoid(logits: Floats) -> Floats:
    """Return the probabilities of independent labels, computed without overflow."""
    return np.exp(-np.logaddexp(0.0, -logits.astype(np.float64)))
