"""Interpret the curve of the loss over a rising learning rate.

Based on the learning-rate range test of Smith 2017, "Cyclical Learning Rates for Training Neural Networks"
(arXiv:1506.01186, section 3.3), with an exponentially rising rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 0.9
"""Decay per step of the running mean that detects divergence."""
_WIDTH = 0.04
"""Standard deviation of the smoothing, as a share of the steps."""
_CEILING = 2.0
_DIVERGED = 4.0
"""The loss has diverged once its running mean is this many times the minimum (as in fastai's LR finder)."""
_EDGE = 0.05
"""Share of the steps at each end where the slope is ignored, as there is too little data to smooth."""
_NEAR = 0.05
"""The loss is near its minimum once this share of its fall is left; a converged loss keeps falling slightly."""
_TENTH = "a tenth of the rate at which the loss gets near its minimum"
_FELL = 0.02
"""A curve that falls by less than this share is flat: its steepest point is noise."""


@dataclass(frozen=True)
class RangeCurve:
    """The interpreted curve of a range test.

    Attributes:
        part: What was trained: ``head``, ``backbone`` or ``network``.
        rates: Learning rate of each step, ascending.
        losses: Loss of each step before its update.
        smooth: The smoothed losses.
        diverged: Whether the test ended because the loss diverged.
        steepest: Rate at which the smoothed loss falls fastest; None if it does not fall.
        least: Rate at which the smoothed loss is lowest.
        near_least: Rate from which on the loss is near its minimum; a converged loss keeps falling slightly.
        min_tenth: A tenth of ``near_least``.
        suggestion: The larger of ``steepest`` and ``min_tenth``.
        reason: Explanation of the suggestion.
    """

    part: str
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    diverged: bool
    steepest: float | None
    least: float
    near_least: float
    min_tenth: float
    suggestion: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def rising_rates(lowest: float, highest: float, steps: int) -> NDArray[np.float64]:
    """Rates that rise by a constant factor per step."""
    return np.geomspace(lowest, highest, steps)


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """A symmetric weighted mean around each step, so that the curve is not shifted.

    Diverged losses are capped at ``_CEILING`` times the first ones, as they would lift earlier steps.
    """
    values = np.asarray(losses, np.float64)
    first = max(1, len(values) // 4)
    values = np.minimum(values, _CEILING * np.abs(values[:first]).max())
    width = max(1.0, _WIDTH * len(values))
    offsets = np.arange(len(values))
    weights = np.exp(-0.5 * ((offsets[:, None] - offsets) / width) ** 2)
    return np.asarray(weights @ values / weights.sum(axis=1))


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential running mean with bias correction (Kingma & Ba 2015, section 3)."""
    means, mean = np.empty_like(values), 0.0
    for step, value in enumerate(values):
        mean = _KEPT * mean + (1 - _KEPT) * value
        means[step] = mean / (1 - _KEPT ** (step + 1))
    return means


def diverged(losses: Sequence[float]) -> bool:
    """Whether to stop the test: the loss is NaN or infinite, or its running mean far above the minimum."""
    if not np.isfinite(losses[-1]):
        return True
    means = _running_mean(np.asarray(losses, np.float64))
    return bool(len(losses) > 2 and means[-1] > _DIVERGED * means.min())


def read_curve(part: str, rates: Sequence[float], losses: Sequence[float], *, stopped: bool) -> RangeCurve:
    """Find the rates worth suggesting.

    Args:
        part: What was trained.
        rates: Rate of each step, ascending, at least 3.
        losses: Loss of each step; only the last may be NaN or infinite, and is then dropped.
        stopped: Whether the loss diverged.
    """
    count = len(losses) if np.isfinite(losses[-1]) else len(losses) - 1
    rates, losses = tuple(map(float, rates[:count])), tuple(map(float, losses[:count]))
    smooth, logs = smoothed(losses), np.log(rates)
    edge = max(1, round(_EDGE * count))
    lowest = edge + int(smooth[edge:].argmin()) if count > edge else int(smooth.argmin())
    fall = smooth[: lowest + 1].max() - smooth[lowest]
    near = int(np.flatnonzero(smooth[: lowest + 1] <= smooth[lowest] + _NEAR * fall)[0])
    tenth, steepest = rates[near] / 10, None
    if fall > _FELL * abs(smooth[: lowest + 1].max()) and lowest > edge + 1:
        slopes = np.gradient(smooth, logs)[edge : lowest + 1]
        steepest = rates[edge + int(slopes.argmin())]
    suggestion, reason = _choose(steepest, tenth)
    return RangeCurve(
        part,
        rates,
        losses,
        tuple(map(float, smooth)),
        stopped,
        steepest,
        least=rates[lowest],
        near_least=rates[near],
        min_tenth=tenth,
        suggestion=float(f"{suggestion:.2g}"),
        reason=reason,
    )


def _choose(steepest: float | None, tenth: float) -> tuple[float, str]:
    """The larger of the two usual suggestions: the loss falls at both, but the smaller one needs more epochs."""
    if steepest is None:
        return tenth, f"{_TENTH}; the loss hardly falls anywhere"
    if steepest >= tenth:
        return steepest, f"where the loss falls fastest, which is above {_TENTH}"
    return tenth, f"{_TENTH}, which is above where it falls fastest"
