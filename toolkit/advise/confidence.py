"""How sure the network is of its own classes on images that it may never have seen the like of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks import softmax


@dataclass(frozen=True)
class Certainty:
    """What the predictions for the source task look like.

    Attributes:
        confidence: Mean of the largest probability, in (0, 1].
        entropy: Mean entropy as a fraction of that of no idea at all, in [0, 1].
    """

    confidence: float
    entropy: float


def certainty(logits: NDArray[np.floating]) -> Certainty:
    """Confidence and entropy of predictions.

    Hendrycks & Gimpel 2016, arXiv:1610.02136: images from elsewhere get a lower maximum probability. On the source
    task's own images it tells how clear they are as well.

    Args:
        logits: Scores before softmax, ``[N, K]``, N >= 1, K >= 2.
    """
    shares = np.asarray(softmax(np.asarray(logits, np.float64)))
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1) / np.log(shares.shape[1])
    return Certainty(float(shares.max(axis=1).mean()), float(entropy.mean()))
