"""The race: the rule's best presets trained against each other on folds of the training images.

The rule's expected losses are what is believed before the race: they come from other data sets. Each rung trains the
presets still in the race on another fold, for a part of their epochs, and measures them on the images held out. Both
are combined as independent normal estimates, so that a small lead on a few images does not overrule the rule, and a
clear lead does. Presets that are behind by more than the error of the difference drop out (successive halving;
Jamieson & Talwalkar 2016, arXiv:1502.07943). Validation and test images take no part.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info
from toolkit.core.errors import ConfigError
from toolkit.engine.learning.objective import Objective

FOLDS = 3
"""Folds of the training images, and most rungs of a race."""
EPOCHS = 0.4
"""Part of a preset's epochs with moving stages that it is trained for in a race."""
LEAST_IMAGES = 100
"""With fewer training images, those held out are so few that chance would decide."""
RUNNERS = 4
"""Most presets in a race."""
PRIOR_ERROR = 0.04
"""How far a preset's loss on new data is from the rule's expectation: standard deviation in the calibration."""
SHORT_ERROR = 0.015
"""How far a difference between two presets after a short training is from that after their full training."""
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

    @property
    def words(self) -> str:
        """The result as a sentence."""
        if not self.scores:
            return f"There was no time for a race of presets, so the rule decides: {self.before}."
        others = ", ".join(f"{title} {score:.3f}" for title, score in self.scores.items() if title != self.winner)
        rule = (
            "the rule recommends the same" if self.winner == self.before else f"the rule alone recommends {self.before}"
        )
        return (
            f"In a race on training images held out in turn ({self.seconds:.0f} s), {self.winner} came first with "
            f"{self.scores[self.winner]:.3f} ({others}); it is the best of them with a probability of {self.sure:.0%}, "
            f"and {rule}."
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
    """

    expected: Floats
    mean: Floats = field(init=False)
    covariance: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.mean = -self.expected
        self.covariance = np.eye(len(self.expected)) * (PRIOR_ERROR**2 + SHORT_ERROR**2)

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
        share = PRIOR_ERROR**2 / (PRIOR_ERROR**2 + SHORT_ERROR**2)
        mean = -self.expected + share * (self.mean + self.expected)
        return mean, share**2 * self.covariance + share * SHORT_ERROR**2 * np.eye(len(mean))

    def behind(self, leader: int, other: int) -> tuple[float, float]:
        """By how much a preset is behind another, and the standard error of that."""
        mean, cov = self.merits()
        error = cov[leader, leader] + cov[other, other] - 2 * cov[leader, other]
        return float(mean[leader] - mean[other]), float(np.sqrt(max(error, 0.0)))

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


def run_race(
    runners: Sequence[Runner],
    lap: Callable[[Runner, int], Lap],
    objective: Objective,
    budget: float | None = None,
    folds: int = FOLDS,
) -> RaceResult:
    """Race presets against each other.

    Args:
        runners: The presets, the rule's choice first.
        lap: Trains a preset on all folds but the one with this index, 0 to ``FOLDS - 1``.
        objective: Measures them.
        budget: Seconds; None: what training the rule's choice will take, at least ``LEAST_BUDGET``.
        folds: Most rungs.

    Raises:
        ConfigError: The budget is too small for two presets on one fold.
    """
    began, spent = time.monotonic(), 0.0
    standing = Standing(np.array([runner.expected for runner in runners]))
    racing, results = list(range(len(runners))), {runner.title: list[float]() for runner in runners}
    left_out: list[str] = []
    allowed, paces = budget, dict[bool, float]()
    sign = 1.0 if objective.task.main.better == "max" else -1.0
    for fold in range(folds):
        ran: list[int] = []
        laps: list[Lap] = []
        for row in list(racing):
            runner, moving = runners[row], runners[row].moving
            if allowed is not None and spent + paces.get(moving, 0.0) * runner.work > allowed:
                if fold == 0:
                    left_out.append(runner.title)
                continue
            laps.append(lap(runner, fold))
            ran.append(row)
            spent += laps[-1].seconds
            pace = paces.setdefault(moving, laps[-1].seconds / runner.work)
            if allowed is None:
                allowed = max(LEAST_BUDGET, pace * runner.full_work * FOLDS / (FOLDS - 1))
        if len(ran) < 2:
            break
        scores, covariance = scores_of(laps, objective)
        standing.update(ran, scores, covariance)
        for row, score in zip(ran, scores, strict=True):
            results[runners[row].title].append(sign * float(score))
        racing = ran
        leader = max(racing, key=lambda row: standing.merits()[0][row])
        racing = [row for row in racing if row == leader or not _is_beaten(standing, leader, row)]
        info(
            "  " + ", ".join(f"{runners[row].title} {sign * score:.3f}" for row, score in zip(ran, scores, strict=True))
        )
        if len(racing) == 1:
            break
    assert allowed is not None
    known = [row for row, runner in enumerate(runners) if results[runner.title]]
    if not known:
        least = spent + min((paces.get(runner.moving, pace) * runner.work for runner in runners[1:]), default=0.0)
        if budget is not None:
            raise ConfigError(
                f"a budget of {budget:.0f} s is too small for one rung of the race, which takes about {least:.0f} s",
                hint="allow more time, or leave the race out",
            )
        return RaceResult(runners[0].title, runners[0].title, 0.0, {}, {}, tuple(left_out), spent, allowed)
    leader = max(known, key=lambda row: standing.merits()[0][row])
    return RaceResult(
        winner=runners[leader].title,
        before=runners[0].title,
        sure=standing.sure_of(leader, known),
        scores={runners[row].title: float(np.mean(results[runners[row].title])) for row in known},
        rungs={runners[row].title: len(results[runners[row].title]) for row in known},
        left_out=tuple(left_out),
        seconds=max(spent, time.monotonic() - began),
        budget=allowed,
    )


def _is_beaten(standing: Standing, leader: int, row: int) -> bool:
    lead, error = standing.behind(leader, row)
    return lead > error
