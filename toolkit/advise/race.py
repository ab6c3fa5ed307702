"""The race: the rule's best presets trained against each other on folds of the training images.

The rule's expected losses are what is believed before the race: they come from other data sets. Each rung trains the
presets still in the race on another fold, for a part of their epochs, and measures them on the images held out. Both
are combined as independent normal estimates, so that a small lead on a few images does not overrule the rule, and a
clear lead does. Presets that are behind by more than the error of the difference drop out (successive halving;
Jamieson & Talwalkar 2016, arXiv:1502.07943). Validation and test images take no part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info
from toolkit.core.errors import ConfigError
from toolkit.core.names import listed
from toolkit.engine.learning.objective import Objective

FOLDS = 3
"""Folds of the training images, and most rungs of a race."""
EPOCHS = 0.4
"""Part of a preset's epochs with moving stages that it is trained for in a race."""
LEAST_IMAGES = 100
"""With fewer training images, those held out are too few to show anything."""
RUNNERS = 4
"""Most presets in a race."""
PRIOR_ERROR = 0.03
"""How far a preset's loss on new data is from the rule's expectation, as a standard deviation. In the calibration it is
0.022 on data sets that the rule has not seen; as those are few, somewhat more is assumed."""
SHORT_ERROR = 0.015
"""How far a difference between two presets after a short training is from that after their full training: assumed."""
LEAST_BUDGET = 20.0
"""Seconds that a race may take even if training with the rule's choice takes less."""
_OFFSET = 10.0
"""Standard deviation of what all presets have in common on one fold: unknown."""
_RESAMPLES = 200
_DRAWS = 4000

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lap:
    """One preset trained on all folds but one.

    Attributes:
        outputs: Its outputs for the images held out, ``[N, C]``.
        labels: Their labels.
        seconds: Time that it took.
    """

    outputs: NDArray[np.float32]
    labels: NDArray[Any]
    seconds: float


@dataclass(frozen=True)
class Runner:
    """A preset in a race.

    Attributes:
        title: The preset.
        expected: Its expected loss compared with the best preset, in the metric's unit; 0 if unknown.
        work: Work of its short training, in any unit.
        full_work: Work of its full training, in the same unit.
        moving: It trains stages. How long a head takes says little about that, so the first preset of each kind runs in
            any case, and sets the pace for the others.
    """

    title: str
    expected: float
    work: float
    full_work: float
    moving: bool = True


@dataclass(frozen=True)
class RaceResult:
    """The end of a race.

    Attributes:
        winner: Title of the best preset.
        before: Title of the preset that the rule recommends without the race.
        sure: Probability that the winner is the best of the presets that took part, in [0, 1].
        scores: Mean score of each preset on images held out; those that did not run are missing.
        rungs: Number of folds on which each of them ran.
        left_out: Presets for which no time was left.
        seconds: Time taken.
        budget: Time allowed, in seconds.
    """

    winner: str
    before: str
    sure: float
    scores: dict[str, float]
    rungs: dict[str, int]
    left_out: tuple[str, ...]
    seconds: float
    budget: float

    def words(self, without: str = "the rule") -> str:
        """Return the result as a sentence.

        Args:
            without: What decides without a race.
        """
        if not self.scores:
            return f"There was no time for a race, so {without} decides: {self.before}."
        scores = ", ".join(f"{title} {score:.3f}" for title, score in self.scores.items())
        missing = f" There was no time for {listed(self.left_out)}." if self.left_out else ""
        same = self.winner == self.before
        alone = f"{without} recommends the same" if same else f"{without} alone recommends {self.before}"
        return (
            f"In a race on training images held out in turn ({self.seconds:.0f} s), the scores were {scores}. Together "
            f"with what was expected before, {self.winner} is the best of these with a probability of {self.sure:.0%}; "
            f"{alone}.{missing}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json`` and ``run.json``."""
        return {
            "winner": self.winner,
            "without": self.before,
            "sure": round(self.sure, 3),
            "scores": self.scores,
            "rungs": self.rungs,
            "left_out": list(self.left_out),
            "seconds": round(self.seconds, 1),
            "budget": round(self.budget, 1),
        }


@dataclass
class Standing:
    """What is known of the presets' merits: a normal distribution, updated after every rung.

    Args:
        expected: Expected losses, ``[R]``.
        prior_error: How far they may be off, as a standard deviation.
    """

    expected: Floats
    prior_error: float = PRIOR_ERROR
    mean: Floats = field(init=False)
    covariance: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.mean = -self.expected
        self.covariance = np.eye(len(self.expected)) * (self.prior_error**2 + SHORT_ERROR**2)

    def update(self, rows: Sequence[int], scores: Floats, covariance: Floats) -> None:
        """Add the scores of some presets on one fold (Kalman update).

        Args:
            rows: The presets.
            scores: Their scores; higher is better.
            covariance: Covariance of the scores over samples of images.
        """
        count = len(rows)
        seen = np.zeros((count, len(self.mean)))
        seen[range(count), list(rows)] = 1.0
        noise = covariance + _OFFSET**2 * np.ones((count, count)) + 1e-8 * np.eye(count)
        gain = self.covariance @ seen.T @ np.linalg.inv(seen @ self.covariance @ seen.T + noise)
        offset = scores.mean() - self.mean[list(rows)].mean()
        self.mean = self.mean + gain @ (scores - offset - self.mean[list(rows)])
        self.covariance = self.covariance - gain @ seen @ self.covariance

    def merits(self) -> tuple[Floats, Floats]:
        """Mean ``[R]`` and covariance of the merits after full training, which a short one shows inexactly."""
        share = self.prior_error**2 / (self.prior_error**2 + SHORT_ERROR**2)
        mean = -self.expected + share * (self.mean + self.expected)
        return mean, share**2 * self.covariance + share * SHORT_ERROR**2 * np.eye(len(mean))

    def leader(self, rows: Sequence[int]) -> int:
        """The best of some presets."""
        mean, _ = self.merits()
        return max(rows, key=lambda row: float(mean[row]))

    def is_beaten(self, row: int, leader: int) -> bool:
        """Whether a preset is behind another by more than the standard error of the difference."""
        mean, cov = self.merits()
        error = np.sqrt(max(cov[leader, leader] + cov[row, row] - 2 * cov[leader, row], 0.0))
        return bool(mean[leader] - mean[row] > error)

    def sure_of(self, leader: int, rows: Sequence[int]) -> float:
        """Probability that a preset is the best of some."""
        mean, cov = self.merits()
        drawn = np.random.default_rng(0).multivariate_normal(mean, cov, _DRAWS, check_valid="ignore")[:, list(rows)]
        return float((drawn.argmax(axis=1) == list(rows).index(leader)).mean())


def scores_of(laps: Sequence[Lap], objective: Objective) -> tuple[Floats, Floats]:
    """Scores of presets on the same images, higher is better, and their covariance over samples of such images.

    The covariance is the paired bootstrap's (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 8), for
    any metric.
    """
    metric = objective.task.main
    sign = 1.0 if metric.better == "max" else -1.0

    def scores(rows: NDArray[np.int64]) -> Floats:
        return np.array([sign * objective.metrics(lap.outputs[rows], lap.labels[rows])[metric.name] for lap in laps])

    count, rng = len(laps[0].labels), np.random.default_rng(0)
    found = np.array([scores(rng.integers(0, count, count)) for _ in range(_RESAMPLES)])
    covariance = np.atleast_2d(np.cov(found[np.isfinite(found).all(axis=1)].T))
    return scores(np.arange(count)), covariance + np.eye(len(laps)) / (count + 1) ** 2


@dataclass
class _Clock:
    """The time of a race.

    Attributes:
        allowed: Seconds; None until the first training shows what the rule's choice takes.
        spent: Seconds so far.
        paces: Seconds for a unit of work, of heads alone (False) and of presets that train stages (True).
    """

    allowed: float | None
    spent: float = 0.0
    paces: dict[bool, float] = field(default_factory=dict)

    def expected(self, runner: Runner) -> float:
        """Seconds of a short training; 0 if none of its kind has run."""
        return self.paces.get(runner.moving, 0.0) * runner.work

    def has_time_for(self, runner: Runner) -> bool:
        """Whether a short training fits into what is left."""
        return self.allowed is None or self.spent + self.expected(runner) <= self.allowed

    def note(self, runner: Runner, seconds: float) -> None:
        """Count a short training; the first one sets the time allowed, if none was given."""
        self.spent += seconds
        pace = self.paces.setdefault(runner.moving, seconds / runner.work)
        if self.allowed is None:
            self.allowed = max(LEAST_BUDGET, pace * runner.full_work * FOLDS / (FOLDS - 1))


def run_race(
    runners: Sequence[Runner],
    lap: Callable[[Runner, int], Lap],
    objective: Objective,
    budget: float | None = None,
    *,
    folds: int = FOLDS,
    prior_error: float = PRIOR_ERROR,
) -> RaceResult:
    """Race presets against each other.

    Args:
        runners: The presets, the rule's choice first.
        lap: Trains a preset on all folds but the one with this index, 0 to ``FOLDS - 1``.
        objective: Measures them.
        budget: Seconds; None: what training the rule's choice will take, at least ``LEAST_BUDGET``.
        folds: Most rungs.
        prior_error: How far the expected losses may be off.

    Raises:
        ConfigError: The budget is too small for two presets on one fold.
    """
    clock, standing = _Clock(budget), Standing(np.array([runner.expected for runner in runners]), prior_error)
    sign = 1.0 if objective.task.main.better == "max" else -1.0
    racing, results = list(range(len(runners))), defaultdict[int, list[float]](list)
    for fold in range(folds):
        laps: dict[int, Lap] = {}
        for row in racing:
            if clock.has_time_for(runners[row]):
                laps[row] = lap(runners[row], fold)
                clock.note(runners[row], laps[row].seconds)
        if len(laps) < 2:
            break
        racing = list(laps)
        scores, covariance = scores_of(list(laps.values()), objective)
        standing.update(racing, scores, covariance)
        for row, score in zip(racing, sign * scores, strict=True):
            results[row].append(float(score))
        info("  " + ", ".join(f"{runners[row].title} {results[row][-1]:.3f}" for row in racing))
        leader = standing.leader(racing)
        racing = [row for row in racing if row == leader or not standing.is_beaten(row, leader)]
        if len(racing) == 1:
            break
    if not results and budget is not None:
        least = clock.spent + min((clock.expected(runner) for runner in runners[1:]), default=0.0)
        raise ConfigError(
            f"a budget of {budget:.0f} s is too small for one rung of the race, which takes about {least:.0f} s",
            hint="allow more time, or leave the race out",
        )
    winner = standing.leader(list(results)) if results else 0
    return RaceResult(
        winner=runners[winner].title,
        before=runners[0].title,
        sure=standing.sure_of(winner, list(results)) if results else 0.0,
        scores={runners[row].title: float(np.mean(scores)) for row, scores in results.items()},
        rungs={runners[row].title: len(scores) for row, scores in results.items()},
        left_out=tuple(runner.title for row, runner in enumerate(runners) if row not in results),
        seconds=clock.spent,
        budget=clock.allowed or 0.0,
    )
