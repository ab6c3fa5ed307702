"""What a curve of the loss over a rising learning rate says.

The learning-rate range test of Smith 2017, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186,
section 3.3), with a rate that rises exponentially.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KEPT = 0.9
"""Share of the running mean that a step leaves, for the question whether the loss diverges."""
_WIDTH = 0.04
"""Standard deviation of the smoothing, as a share of the steps."""
_CEILING = 2.0
_DIVERGED = 4.0
"""The loss has diverged when its running mean is so many times the least (as in fastai's learning-rate finder)."""
_EDGE = 0.05
"""Share of the steps at each end where no slope is taken: there is too little to smooth."""
_NEAR = 0.05
"""The loss is at its least when so little of its whole fall is left: what has learned everything falls on for ever."""
_TENTH = "a tenth of the rate from which on the loss is near its least"
_FELL = 0.02
"""A curve that falls by less than this share is flat: its steepest point is noise."""


@dataclass(frozen=True)
class RangeCurve:
    """A range test, read.

    Attributes:
        part: What was moved: ``head``, ``backbone`` or ``network``.
        rates: Learning rate of each step, rising.
        losses: Loss of each step before its update.
        smooth: The same, smoothed.
        diverged: The test ended because the loss diverged.
        steepest: Rate where the smoothed loss falls fastest; None where it does not fall.
        least: Rate where the smoothed loss is least.
        near_least: Rate from which on it is near that: what has learned everything falls on a little for ever.
        min_tenth: A tenth of ``near_least``.
        suggestion: The larger of ``steepest`` and ``min_tenth``.
        reason: Why, in words.
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
    """Rates that rise by the same factor from step to step."""
    return np.geomspace(lowest, highest, steps)


def smoothed(losses: Sequence[float]) -> NDArray[np.float64]:
    """A weighted mean of each step and those on both of its sides, so that the curve moves to neither.

    What has diverged counts as ``_CEILING`` times the first losses: it would lift the steps before it.
    """
    values = np.asarray(losses, np.float64)
    first = max(1, len(values) // 4)
    values = np.minimum(values, _CEILING * np.abs(values[:first]).max())
    width = max(1.0, _WIDTH * len(values))
    offsets = np.arange(len(values))
    weights = np.exp(-0.5 * ((offsets[:, None] - offsets) / width) ** 2)
    return np.asarray(weights @ values / weights.sum(axis=1))


def _running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential, corrected for its start (Kingma & Ba 2015, section 3)."""
    means, mean = np.empty_like(values), 0.0
    for step, value in enumerate(values):
        mean = _KEPT * mean + (1 - _KEPT) * value
        means[step] = mean / (1 - _KEPT ** (step + 1))
    return means


def diverged(losses: Sequence[float]) -> bool:
    """Whether a test is to stop after its last step: the loss is no number, or its running mean far above the least."""
    if not np.isfinite(losses[-1]):
        return True
    means = _running_mean(np.asarray(losses, np.float64))
    return bool(len(losses) > 2 and means[-1] > _DIVERGED * means.min())


def read_curve(part: str, rates: Sequence[float], losses: Sequence[float], *, stopped: bool) -> RangeCurve:
    """Find the rates worth suggesting.

    Args:
        part: What was moved.
        rates: Of each step, rising, at least 3.
        losses: Of each step; only the last may be no number, and is then left out.
        stopped: The loss diverged.
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
    """The larger of the two usual suggestions: at both the loss still falls, and the smaller needs more epochs."""
    if steepest is None:
        return tenth, f"{_TENTH}; the loss falls nowhere by much"
    if steepest >= tenth:
        return steepest, f"where the loss falls fastest, which is above {_TENTH}"
    return tenth, f"{_TENTH}, which is above where it falls fastest"
