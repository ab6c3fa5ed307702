"""Statistics for a regression report: errors of each target with intervals, compared with a constant prediction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolkit.explain.bootstrap import interval, resamples

_RESAMPLES = 1000
Floats = NDArray[np.floating]
Interval = tuple[float, float]


@dataclass(frozen=True)
class TargetScore:
    """Errors of one target, in its own unit.

    Attributes:
        name: The target.
        mse: Mean squared error.
        rmse: Root mean squared error.
        mae: Mean absolute error.
        mae_interval: 95 % bootstrap interval over the images.
        r2: Coefficient of determination; None for a constant target.
        r2_interval: 95 % bootstrap interval over the images, or None.
        bias: Mean of predicted minus true.
        baseline_r2: R2 of always predicting the mean of the training images; None for a constant target.
        baseline_mae: Mean absolute error of that prediction.
        baseline_rmse: Root mean squared error of that prediction.
    """

    name: str
    mse: float
    rmse: float
    mae: float
    mae_interval: Interval | None
    r2: float | None
    r2_interval: Interval | None
    bias: float
    baseline_r2: float | None
    baseline_mae: float
    baseline_rmse: float


@dataclass(frozen=True)
class TargetScores:
    """Errors of all targets.

    Attributes:
        targets: Errors of each target, in order.
        r2_interval: 95 % bootstrap interval of R2 averaged over the targets.
    """

    targets: list[TargetScore]
    r2_interval: Interval | None


def target_scores(predicted: Floats, true: Floats, names: tuple[str, ...], baseline: Floats) -> TargetScores:
    """Compute the errors of all targets.

    Args:
        predicted: Predicted values ``[N, T]`` in the targets' units, N >= 1.
        true: True values, ``[N, T]``.
        names: Names of the T targets.
        baseline: Constant prediction to compare with: the targets' means over the training images, ``[T]``.
    """
    error, off = predicted.astype(np.float64) - true, true.astype(np.float64) - baseline
    deviation = true - true.mean(axis=0, dtype=np.float64)
    mae, r2 = _resampled(error, deviation)
    total = (deviation**2).sum(axis=0)
    targets = [
        TargetScore(
            name=name,
            mse=float((error[:, t] ** 2).mean()),
            rmse=float(np.sqrt((error[:, t] ** 2).mean())),
            mae=float(np.abs(error[:, t]).mean()),
            mae_interval=interval(mae[:, t]),
            r2=float(1 - (error[:, t] ** 2).sum() / total[t]) if total[t] > 0 else None,
            r2_interval=interval(r2[:, t]),
            bias=float(error[:, t].mean()),
            baseline_r2=float(1 - (off[:, t] ** 2).sum() / total[t]) if total[t] > 0 else None,
            baseline_mae=float(np.abs(off[:, t]).mean()),
            baseline_rmse=float(np.sqrt((off[:, t] ** 2).mean())),
        )
        for t, name in enumerate(names)
    ]
    return TargetScores(targets, interval(r2.mean(axis=1)))


def _resampled(error: Floats, deviation: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute MAE and R2 of each target in each resample, ``[times, T]``; R2 is NaN for a constant target."""
    count, mae, r2 = len(error), [], []
    for weights in resamples(count, _RESAMPLES):
        mae.append(weights @ np.abs(error) / count)
        total = weights @ deviation**2 - (weights @ deviation) ** 2 / count
        varies = total > 1e-12 * (deviation**2).sum(axis=0)
        r2.append(np.where(varies, 1 - weights @ error**2 / np.where(varies, total, 1), np.nan))
    return np.concatenate(mae), np.concatenate(r2)


def largest_errors(error: Floats, scale: Floats, most: int) -> list[tuple[int, int]]:
    """Find the largest errors, at most one per image, as image and target, worst first.

    Args:
        error: Predicted minus true, ``[N, T]``.
        scale: Unit for the errors of each target, ``[T]``, > 0.
        most: Maximum number of errors.
    """
    size = np.abs(error) / scale
    target = size.argmax(axis=1)
    worst = size[np.arange(len(size)), target]
    return [(int(row), int(target[row])) for row in np.argsort(-worst, kind="stable")[:most] if worst[row] > 0]
