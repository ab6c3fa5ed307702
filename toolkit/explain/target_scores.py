"""The numbers of a regression report: every target's errors with intervals, beside the simplest prediction there is."""

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
    """How well one target is predicted, in its own unit.

    Attributes:
        name: The target.
        mse: Mean squared error.
        rmse: Its root.
        mae: Mean absolute error.
        mae_interval: 95 % bootstrap interval over the images.
        r2: Coefficient of determination; None for a target that does not vary here.
        r2_interval: 95 % bootstrap interval over the images; None where there is none.
        bias: Mean of predicted minus true.
        baseline_r2: R2 of always saying the mean of the training images; None for a target that does not vary here.
        baseline_mae: Mean absolute error of the same.
        baseline_rmse: Root mean squared error of the same.
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
    """All targets.

    Attributes:
        targets: Each of them, in order.
        r2_interval: 95 % bootstrap interval of R2 averaged over the targets.
    """

    targets: list[TargetScore]
    r2_interval: Interval | None


def target_scores(predicted: Floats, true: Floats, names: tuple[str, ...], baseline: Floats) -> TargetScores:
    """Errors of every target.

    Args:
        predicted: ``[N, T]``, in the targets' units, N >= 1.
        true: ``[N, T]``.
        names: Names of the targets, T of them.
        baseline: What to compare with, the same for every image: the targets' means over the training images, ``[T]``.
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
    """MAE and R2 of every target in every resample, ``[times, T]``; R2 is NaN where the target does not vary."""
    count, mae, r2 = len(error), [], []
    for weights in resamples(count, _RESAMPLES):
        mae.append(weights @ np.abs(error) / count)
        total = weights @ deviation**2 - (weights @ deviation) ** 2 / count
        varies = total > 1e-12 * (deviation**2).sum(axis=0)
        r2.append(np.where(varies, 1 - weights @ error**2 / np.where(varies, total, 1), np.nan))
    return np.concatenate(mae), np.concatenate(r2)


def largest_errors(error: Floats, scale: Floats, most: int) -> list[tuple[int, int]]:
    """The images that are farthest off, an image once: image and target, worst first.

    Args:
        error: Predicted minus true, ``[N, T]``.
        scale: What to measure each target's errors in, ``[T]``, > 0.
        most: At most so many.
    """
    size = np.abs(error) / scale
    target = size.argmax(axis=1)
    worst = size[np.arange(len(size)), target]
    return [(int(row), int(target[row])) for row in np.argsort(-worst, kind="stable")[:most] if worst[row] > 0]
