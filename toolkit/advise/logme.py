"""LogME: how well a linear model on the features explains the labels, without training one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.task import TaskName

__all__ = ["logme"]

_ROUNDS, _CLOSE = 100, 1e-4


def logme(features: NDArray[np.floating], labels: NDArray[Any], task: TaskName = "classification") -> float:
    """Logarithm of the maximum evidence of Bayesian linear regression from features to labels, per image.

    You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", arXiv:2102.11005,
    equation 2 and algorithm 1 (fixed-point iteration for the two precisions), with one regression a class on 0 and 1,
    whose evidences are averaged.

    Args:
        features: ``[N, D]``.
        labels: Class numbers ``[N]``, 0/1 ``[N, C]`` or targets ``[N, T]`` (which are standardised).
        task: What the labels are.

    Returns:
        Nats an image; larger is better. It compares features on the same labels, not data sets.
    """
    targets = _targets(labels, task)
    u, s, _ = np.linalg.svd(np.asarray(features, np.float64), full_matrices=False)
    return float(np.mean([_evidence(u, s**2, column) for column in targets.T])) / len(targets)


def _targets(labels: NDArray[Any], task: TaskName) -> NDArray[np.float64]:
    if task == "classification":
        return (labels[:, None] == np.unique(labels)).astype(np.float64)
    values = labels.astype(np.float64)
    if task == "multilabel":
        return values
    std = values.std(axis=0)
    return (values - values.mean(axis=0)) / np.where(std > 0, std, 1.0)


def _evidence(u: NDArray[np.float64], sigma: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Largest evidence over alpha, beta of ``y ~ N(F w, 1/beta)``, ``w ~ N(0, 1/alpha)``; ``F F^T = u sigma u^T``."""
    inside = (u.T @ y) ** 2
    outside = max(0.0, float(y @ y - inside.sum()))
    alpha = beta = 1.0
    for _ in range(_ROUNDS):
        ratio = alpha / beta
        gamma = float((sigma / (sigma + ratio)).sum())
        size = float((sigma * inside / (sigma + ratio) ** 2).sum())
        misfit = float((inside * (ratio / (sigma + ratio)) ** 2).sum()) + outside
        alpha, beta = gamma / (size + 1e-12), (len(y) - gamma) / (misfit + 1e-12)
        if abs(alpha / beta - ratio) <= _CLOSE * ratio:
            break
    ratio = alpha / beta
    size = float((sigma * inside / (sigma + ratio) ** 2).sum())
    misfit = float((inside * (ratio / (sigma + ratio)) ** 2).sum()) + outside
    return 0.5 * (
        len(sigma) * math.log(alpha)
        + len(y) * math.log(beta)
        - float(np.log(alpha + beta * sigma).sum())
        - beta * misfit
        - alpha * size
        - len(y) * math.log(2 * math.pi)
    )
