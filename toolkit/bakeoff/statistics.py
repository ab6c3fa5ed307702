"""Which differences are larger than the spread, and how much sooner transfer converges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any, Literal

from toolkit.bakeoff.comparison import Comparison, winner
from toolkit.bakeoff.trial import Trial
from toolkit.tasks import Metric

_LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """The best candidate compared with another one over their common seeds.

    Seeds are paired: with the same seed, both candidates use the same split, so a hard split favours neither. The
    interval is Student's for the mean of the paired differences.

    Attributes:
        best: The best candidate.
        other: The other candidate.
        seeds: Number of common seeds.
        mean: How much better the best one is, in the metric's unit; > 0 if it is better.
        low: Lower end of the 95 % interval; None with fewer than two seeds.
        high: Upper end of the interval.
        stopped: The other candidate was stopped early, so the final difference is unknown.
        verdict: ``clear``: the interval excludes 0; ``within``: it includes 0; ``unknown``: fewer than two seeds.
    """

    best: str
    other: str
    seeds: int
    mean: float
    low: float | None
    high: float | None
    stopped: bool
    verdict: Literal["clear", "within", "unknown"]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Convergence:
    """How soon a pretrained candidate reached the best value of random weights; means over the seeds.

    Attributes:
        candidate: The pretrained candidate.
        scratch: The candidate with random weights.
        level: Best value of ``scratch`` on the validation images.
        epochs: Epochs that the candidate took to reach it.
        seconds: Seconds that the candidate took to reach it.
        scratch_epochs: Epochs that ``scratch`` took to reach it.
        scratch_seconds: Seconds that ``scratch`` took to reach it.
        stopped: ``scratch`` was stopped early, so this is not its final level.
    """

    candidate: str
    scratch: str
    level: float
    epochs: float
    seconds: float
    scratch_epochs: float
    scratch_seconds: float
    stopped: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def interval(scores: Sequence[float], *, folds: bool = False) -> tuple[float, float] | None:
    """Student's 95 % interval for a mean over seeds or folds; None for fewer than two.

    Training sets of a cross-validation overlap, so its scores vary less than those of independent samples would. The
    variance of their mean is taken as ``(1 / K + 1 / (K - 1))`` times that of a score instead of ``1 / K`` (Nadeau and
    Bengio 2003, Machine Learning 52:239, equation 9).

    Args:
        scores: One number for each seed or fold.
        folds: They are the K folds of a cross-validation.
    """
    if len(scores) < 2:
        return None
    width = _width(stdev(scores), len(scores), folds=folds)
    return mean(scores) - width, mean(scores) + width


def _width(spread: float, count: int, *, folds: bool) -> float:
    """Half the width of the interval of a mean."""
    from scipy.stats import t  # takes time to import

    share = 1 / count + (1 / (count - 1) if folds else 0.0)
    return float(t.ppf((1 + _LEVEL) / 2, count - 1)) * spread * math.sqrt(share)


def differences(rows: Sequence[Comparison], images: int, *, folds: bool = False) -> list[Difference]:
    """Compare the best row with each of the others, the closest first.

    Args:
        rows: One or more rows.
        images: Number of images behind the scores: the spread of a proportion is taken as at least one image, however
            similar a few seeds happen to be.
        folds: The seeds are the folds of a cross-validation; see ``interval``.
    """
    best = winner(rows)
    found = [difference(best, row, images, folds=folds) for row in rows if row is not best]
    return sorted(found, key=lambda item: item.mean)


def difference(best: Comparison, other: Comparison, images: int, *, folds: bool) -> Difference:
    """Compare two rows over their common seeds; arguments as for ``differences``."""
    sign = 1 if best.metric.better == "max" else -1
    theirs = {trial.seed: trial.score for trial in other.trials}
    paired = [sign * (trial.score - theirs[trial.seed]) for trial in best.trials if trial.seed in theirs]
    gap = mean(paired) if paired else sign * (best.mean - other.mean)
    words = (best.title, other.title, len(paired), gap)
    if len(paired) < 2:
        return Difference(*words, None, None, bool(other.halted), "unknown")
    floor = 1 / max(1, images) if best.metric.share else 0.0
    width = _width(max(stdev(paired), floor), len(paired), folds=folds)
    verdict: Literal["clear", "within"] = "clear" if gap - width > 0 else "within"
    return Difference(*words, gap - width, gap + width, bool(other.halted), verdict)


def convergence(rows: Sequence[Comparison]) -> list[Convergence]:
    """Compute how soon the best pretrained candidate of each network reached the level of ``scratch``.

    Returns:
        One item for each network that has both and whose candidate reached the level.
    """
    found = (_convergence(row, rows) for row in rows if row.preset == "scratch")
    return [item for item in found if item]


def _convergence(base: Comparison, rows: Sequence[Comparison]) -> Convergence | None:
    others = [row for row in rows if row is not base and row.network == base.network]
    if not others:
        return None
    best, metric = winner(others), base.metric
    theirs = {trial.seed: trial for trial in base.trials}
    pairs = [(trial, theirs[trial.seed]) for trial in best.trials if trial.seed in theirs]
    levels = [other.best_until(other.epochs, metric) for _, other in pairs]
    arrivals = [
        (_arrival(trial, level, metric), _arrival(other, level, metric))
        for (trial, other), level in zip(pairs, levels, strict=True)
    ]
    if not arrivals or any(mine is None or its is None for mine, its in arrivals):
        return None
    ours, its = ([point for point in points if point] for points in zip(*arrivals, strict=True))
    return Convergence(
        best.title,
        base.title,
        mean(levels),
        mean(epoch for epoch, _ in ours),
        mean(seconds for _, seconds in ours),
        mean(epoch for epoch, _ in its),
        mean(seconds for _, seconds in its),
        bool(base.halted),
    )


def _arrival(trial: Trial, level: float, metric: Metric) -> tuple[int, float] | None:
    """Return the epoch and second at which a run first reached a level."""
    sign = 1 if metric.better == "max" else -1
    return next(((epoch, seconds) for epoch, seconds, value in trial.curve if sign * (value - level) >= 0), None)
