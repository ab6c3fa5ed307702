"""Advice compared with the bake-off: what given thresholds recommend in measured situations, and how good that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.calibrate import SETS, Situation
from toolkit.advise.advisor import recommend
from toolkit.advise.choose import ADVISED
from toolkit.advise.measurement import Measurement
from toolkit.advise.thresholds import Thresholds

__all__ = ["CLOSE", "Case", "Verdict", "held_out", "judged", "known_scores", "summary_of"]

CLOSE = 0.01
"""One point: advice this close to the best preset counts as right."""


@dataclass(frozen=True)
class Case:
    """A situation with results and with evidence; one of the two may be missing."""

    situation: Situation
    measured: Measurement

    @property
    def data(self) -> str:
        """The data set."""
        return self.situation.data


def known_scores(case: Case) -> dict[str, float]:
    """Mean scores over seeds of the presets that may be advised."""
    return {preset: score for preset, score in case.situation.means.items() if preset in ADVISED}


@dataclass(frozen=True)
class Verdict:
    """Advice compared with the bake-off in one situation."""

    case: Case
    advised: str
    similar: bool
    cell: str
    best: str
    regret: float
    right: bool

    @property
    def similar_right(self) -> bool:
        """Whether the similarity matches what the data set's owner says."""
        return self.similar == SETS[self.case.data].similar


def judged(case: Case, thresholds: Thresholds) -> Verdict:
    """What the thresholds recommend, and how much worse it is than the best preset."""
    _, place, choices = recommend(case.measured, thresholds)
    scores = known_scores(case)
    advised = next((choice.preset for choice in choices if choice.preset in scores), choices[0].preset)
    if not scores:
        return Verdict(case, advised, place.similarity == "similar", place.cell, "", 0.0, True)
    best = max(scores, key=lambda preset: scores[preset])
    regret = scores[best] - scores.get(advised, min(scores.values()))
    right = regret <= max(CLOSE, case.situation.spread) + 1e-9
    return Verdict(case, advised, place.similarity == "similar", place.cell, best, regret, right)


def held_out(cases: Sequence[Case], make: Callable[[Sequence[Case]], Thresholds]) -> list[Verdict]:
    """Verdicts of a rule on each data set, derived without that data set."""
    verdicts = []
    for data in sorted({case.data for case in cases}):
        rest = [case for case in cases if case.data != data]
        if rest:
            thresholds = make(rest)
            verdicts += [judged(case, thresholds) for case in cases if case.data == data]
    return verdicts


def summary_of(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """``regret`` and share of ``right`` over the situations with results, their number, and ``similarity`` over all."""
    scored = [verdict for verdict in verdicts if verdict.best]
    truth = [verdict.similar_right for verdict in verdicts]
    return {
        "regret": mean(verdict.regret for verdict in scored) if scored else 0.0,
        "right": mean(verdict.right for verdict in scored) if scored else 0.0,
        "similarity": mean(truth) if truth else 0.0,
        "situations": float(len(scored)),
    }
