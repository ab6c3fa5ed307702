"""Per-sample losses, as functions of a network's outputs.

Each is linear in the labels, so that the loss for the mixed labels of two images is the mixture of their losses; only
the squared error is not, but its gradient is.
"""

from __future__ import annotations

import paddle
import paddle.nn.functional as F
from paddle import Tensor

_LEAST_MISS = 1e-7
"""Lower bound of 1 - p: for 0 < gamma < 1 the derivative of (1 - p)^gamma is unbounded."""


def cross_entropy(logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Cross entropy, optionally with label smoothing.

    Label smoothing: Szegedy et al., "Rethinking the Inception Architecture" (arXiv 1512.00567), section 7.

    Args:
        logits: ``[N, C]``.
        labels: Class indices, int64 ``[N]``, or class shares, float32 ``[N, C]``, with each row summing to 1.
        smoothing: Share of the label spread over all classes, in [0, 1).

    Returns:
        ``[N]``, nats.
    """
    soft = _is_soft(labels)
    loss = F.cross_entropy(logits, labels, soft_label=soft, label_smoothing=smoothing, reduction="none")
    return loss.reshape([-1])


def focal(logits: Tensor, labels: Tensor, gamma: float, smoothing: float = 0.0) -> Tensor:
    """Focal loss: the cross entropy of each class, times (1 - its probability) ** gamma.

    Lin et al., "Focal Loss for Dense Object Detection" (arXiv 1708.02002), equation 4, with softmax instead of sigmoid;
    for soft labels, the mean over the classes weighted by their shares.

    Args:
        logits: ``[N, C]``.
        labels: As for ``cross_entropy``.
        gamma: >= 0; 0 is cross entropy.
        smoothing: As for ``cross_entropy``.

    Returns:
        ``[N]``, nats.
    """
    if not gamma:
        return cross_entropy(logits, labels, smoothing)
    classes = logits.shape[1]
    shares = labels if _is_soft(labels) else F.one_hot(labels.reshape([-1]), classes)
    if smoothing:
        shares = shares * (1 - smoothing) + smoothing / classes
    log_p = F.log_softmax(logits, axis=1)
    return -(shares * _miss(paddle.exp(log_p)) ** gamma * log_p).sum(axis=1)


def binary_cross_entropy(logits: Tensor, labels: Tensor, positive_weights: Tensor | None = None) -> Tensor:
    """Binary cross entropy, averaged over the labels of a sample.

    Args:
        logits: ``[N, C]``.
        labels: 0 to 1, float32 ``[N, C]``.
        positive_weights: Weight of a positive relative to a negative, ``[C]``; by default 1.

    Returns:
        ``[N]``, nats.
    """
    if positive_weights is None:
        return F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(axis=1)
    # Paddle's own pos_weight gives different results in 2.6
    yes, no = F.softplus(-logits) * positive_weights, F.softplus(logits)
    return (labels * yes + (1 - labels) * no).mean(axis=1)


def binary_focal(logits: Tensor, labels: Tensor, gamma: float, positive_weights: Tensor | None = None) -> Tensor:
    """Focal loss of independent labels, averaged over those of a sample.

    Lin et al. (arXiv 1708.02002), equation 4; equation 5 if positives have weights.

    Args:
        logits: ``[N, C]``.
        labels: 0 to 1, float32 ``[N, C]``.
        gamma: >= 0; 0 is binary cross entropy.
        positive_weights: As for ``binary_cross_entropy``.

    Returns:
        ``[N]``, nats.
    """
    if not gamma:
        return binary_cross_entropy(logits, labels, positive_weights)
    yes = _miss(F.sigmoid(logits)) ** gamma * F.softplus(-logits)
    no = _miss(F.sigmoid(-logits)) ** gamma * F.softplus(logits)
    if positive_weights is not None:
        yes = yes * positive_weights
    return (labels * yes + (1 - labels) * no).mean(axis=1)


def squared_error(outputs: Tensor, targets: Tensor, scale: Tensor) -> Tensor:
    """Squared error in units of ``scale``, averaged over the targets of a sample.

    Args:
        outputs: ``[N, T]``.
        targets: ``[N, T]``.
        scale: > 0, ``[T]``.

    Returns:
        ``[N]``.
    """
    return ((outputs / scale - targets / scale) ** 2).mean(axis=1)


def _is_soft(labels: Tensor) -> bool:
    return labels.dtype in (paddle.float32, paddle.float64)


def _miss(p: Tensor) -> Tensor:
    return paddle.clip(1 - p, min=_LEAST_MISS)
