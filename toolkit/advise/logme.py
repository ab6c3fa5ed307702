"""LogME: how well a linear model on the features would explain the labels, without training it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.tasks import TASKS, TaskName

_ROUNDS, _CLOSE = 100, 1e-4
_TINY, _LEAST = 1e-12, 1e-100
"""Keeps quotients finite; smallest precision."""
_LARGE = 1e3
"""Features with a larger root mean square are divided by it, as the iteration starts at 1 and would lose digits."""


def logme(features: NDArray[np.floating], labels: NDArray[Any], task: TaskName = "classification") -> float:
    """Compute the log maximum evidence of Bayesian linear regression from features to labels, per image.

    You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning", arXiv:2102.11005,
    equation 2 and algorithm 1 (fixed-point iteration for the two precisions), with one regression per class on 0 and 1,
    whose evidences are averaged.

    Args:
        features: ``[N, D]``.
        labels: Class indices ``[N]``, 0/1 ``[N, C]`` or targets ``[N, T]`` (which are standardised). Constant columns
            are ignored.
        task: What the labels are.

    Returns:
        Nats per image; larger is better. It compares features on the same labels, not data sets. Scaling all features
        does not change it. NaN if no label varies, or a feature is not finite.
    """
    targets = _targets(labels, task)
    rows = np.asarray(features, np.float64)
    if not targets.size or not np.isfinite(rows).all():
        return math.nan
    size = float(np.linalg.norm(rows)) / math.sqrt(rows.size)
    u, s, _ = np.linalg.svd(rows / size if size > _LARGE else rows, full_matrices=False)
    return float(np.mean([_evidence(u, s**2, column) for column in targets.T])) / len(targets)


def _targets(labels: NDArray[Any], task: TaskName) -> NDArray[np.float64]:
    values = TASKS[task].columns(labels)
    values = values[:, np.ptp(values, axis=0) > 0]
    return (values - values.mean(axis=0)) / values.std(axis=0) if TASKS[task].predicts_numbers else values


def _evidence(u: NDArray[np.float64], sigma: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Maximise evidence over alpha, beta of ``y ~ N(F w, 1/beta)``, ``w ~ N(0, 1/alpha)``; ``F F^T = u sigma u^T``."""
    inside = (u.T @ y) ** 2
    outside = max(0.0, float(y @ y - inside.sum()))
    alpha = beta = 1.0
    for _ in range(_ROUNDS):
        ratio = alpha / beta
        gamma = float((sigma / (sigma + ratio)).sum())
        size = float((sigma * inside / (sigma + ratio) ** 2).sum())
        misfit = float((inside * (ratio / (sigma + ratio)) ** 2).sum()) + outside
        free = len(y) - len(sigma) + float((ratio / (sigma + ratio)).sum())  # N - gamma, without cancelling to 0
        alpha, beta = max(_LEAST, gamma / (size + _TINY)), max(_LEAST, free / (misfit + _TINY))
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
