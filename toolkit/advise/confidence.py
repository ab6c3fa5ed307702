"""How confident a network is in its own classes on new images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks import softmax


@dataclass(frozen=True)
class Confidence:
    """Confidence of predictions in the source task's classes.

    Attributes:
        confidence: Mean of the largest probability, in (0, 1].
        entropy: Mean entropy as a fraction of that of uniform guessing, in [0, 1].
    """

    confidence: float
    entropy: float


def prediction_confidence(logits: NDArray[np.floating]) -> Confidence:
    """Compute the confidence and entropy of predictions.

    Hendrycks & Gimpel 2016, arXiv:1610.02136: out-of-distribution images get a lower maximum probability. Within the
    source task, it also reflects how clear the images are.

    Args:
        logits: Scores before softmax, ``[N, K]``, N >= 1, K >= 2.
    """
    shares = np.asarray(softmax(np.asarray(logits, np.float64)))
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1) / np.log(shares.shape[1])
    return Confidence(float(shares.max(axis=1).mean()), float(entropy.mean()))
