"""From the bake-off's results and the evidence to the advisor's thresholds, tried on sets that they have not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.calibrate import SETS, WEIGHTS, Situation, key_of
from benchmarks.regularisers import derive_regularisers, regulariser_table
from toolkit.advise.advisor import recommend, situation_of
from toolkit.advise.choose import ADVISED, HEAD_ALONE
from toolkit.advise.evidence import EVIDENCE, evidence_of
from toolkit.advise.measurement import Measurement
from toolkit.advise.place import place_of
from toolkit.advise.thresholds import (
    EvidenceRule,
    PresetRule,
    SizeRule,
    Thresholds,
    load_thresholds,
)
from toolkit.advise.thresholds import Situation as Known
from toolkit.files import write_text

__all__ = ["derive", "derive_evidence", "derive_size", "fitted"]

CLOSE = 0.01
"""One point: so near to the best preset counts as right."""
TIE = 0.003
LOGARITHMIC = frozenset({"batchnorm"})
BELOW = frozenset({"batchnorm"})
BANDWIDTHS = (0.15, 0.25, 0.35, 0.5, 0.75, 1.0, 2.0, 10.0)
"""The last one is hardly more than the preset that is best on average."""
SPREADS = (0.0, 0.1, 0.2)
_SURE = 2.0
"""Log-odds that the mean of the similar (different) sets is given."""


@dataclass(frozen=True)
class Case:
    """A situation with results and with evidence; one of the two may be missing."""

    situation: Situation
    measured: Measurement

    @property
    def data(self) -> str:
        """The data set."""
        return self.situation.data


def derive(
    situations: Sequence[Situation],
    evidence: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    output: Path,
    report: Path,
) -> int:
    """Write thresholds and the report; say what came out.

    Args:
        situations: The bake-off's results.
        evidence: Lines of the evidence table.
        rows: Lines of the bake-off, those with a regulariser among them.
        output: ``thresholds.json``.
        report: Table of advice against bake-off, in Markdown.
    """
    results = {one.key: one for one in situations}
    cases = []
    for row in evidence:
        key = key_of(row)
        measured = Measurement.model_validate(row["measurement"])
        cases.append(Case(results.get(key, Situation(*key, {})), measured))
    if not cases:
        print("no evidence: run `calibrate.py measure` first")
        return 1
    tried = [case for case in cases if _known_scores(case)]
    kinds = _kinds(tried)
    validations = {name: _held_out(cases, make) for name, make in kinds.items()}
    best = min(validations, key=lambda name: validations[name]["regret"]) if tried else "matrix"
    final = kinds[best](cases)
    facts = {f"{name}: {key}": round(value, 5) for name, found in validations.items() for key, value in found.items()}
    final = final.model_copy(
        update={
            "rule": final.rule.model_copy(update={"validation": facts}),
            "regularisers": derive_regularisers(rows),
        }
    )
    write_text(output, final.model_dump_json(indent=1) + "\n")
    write_text(report, "\n".join(_report(cases, final, validations, best)) + "\n")
    print("\n".join(_report(cases, final, validations, best)))
    return 0


def _kinds(tried: Sequence[Case]) -> dict[str, Callable[[Sequence[Case]], Thresholds]]:
    """Rules to choose from: name -> from cases to thresholds."""
    kinds: dict[str, Callable[[Sequence[Case]], Thresholds]] = {"matrix": partial(fitted, kind="matrix")}
    for width, spread in product(BANDWIDTHS, SPREADS) if tried else ():
        name = f"nearest, bandwidth {width:g}{f', probes {spread:g}' if spread else ''}"
        kinds[name] = partial(fitted, kind="nearest", bandwidth=width, spread=spread)
    return kinds


def fitted(cases: Sequence[Case], kind: Any, bandwidth: float = 0.5, spread: float = 0.0) -> Thresholds:
    """Thresholds of some cases.

    Args:
        cases: What they are derived from.
        kind: ``matrix`` or ``nearest``.
        bandwidth: Of ``nearest``.
        spread: Of ``nearest``.
    """
    tried = [case for case in cases if _known_scores(case)]
    rules = derive_evidence(cases)
    size = derive_size(tried)
    draft = Thresholds(
        version=1,
        provisional=not tried,
        rows=sum(len(scores) for case in tried for scores in case.situation.scores.values()),
        sets=tuple(sorted({case.data for case in cases})),
        size=size,
        evidence=rules,
        rule=PresetRule(kind="matrix", bandwidth=bandwidth, tie=TIE),
    )
    known = tuple(_known(case, draft) for case in tried)
    rule = PresetRule(kind=kind, bandwidth=bandwidth, spread=spread, tie=TIE, situations=known)
    return draft.model_copy(update={"rule": rule})


def derive_evidence(cases: Iterable[Case]) -> dict[str, EvidenceRule]:
    """For each piece of evidence the middle between the two kinds of sets, and how well it tells them apart.

    The middle is that between the most alike of both kinds; at the means of both the log-odds are 4 apart.
    A set and network count once, with the most images and at the network's own image size, where the numbers are
    surest. The weight is ``2 AUC - 1`` over them: 1 where all similar ones are on one side, 0 where it tells nothing.
    """
    cases, rules = list(cases), {}
    for spec in EVIDENCE:
        groups: dict[bool, list[float]] = {True: [], False: []}
        for data, network in product(SETS, WEIGHTS):
            these = [
                case.measured
                for case in cases
                if (case.data, case.situation.network, case.situation.image_size) == (data, network, None)
            ]
            value = spec.value(max(these, key=lambda measured: measured.size.images)) if these else None
            if value is not None and math.isfinite(value):
                groups[SETS[data].similar].append(value)
        similar, different = groups[True], groups[False]
        if not similar or not different:
            rules[spec.name] = load_thresholds().evidence[spec.name].model_copy(update={"weight": 0.0})
            continue
        log = spec.name in LOGARITHMIC
        scaled = [[math.log(value) if log else value for value in group] for group in (similar, different)]
        high, low = mean(scaled[0]), mean(scaled[1])
        sign = -1 if spec.name in BELOW else 1
        nearest = min(sign * value for value in scaled[0]), max(sign * value for value in scaled[1])
        middle, width = sign * mean(nearest), max(abs(high - low) / (2 * _SURE), 1e-3)
        pairs = [(sign * (a - b) > 0) + 0.5 * (a == b) for a, b in product(*scaled)]
        rules[spec.name] = EvidenceRule(
            threshold=round(math.exp(middle) if log else middle, 5),
            scale=round(width, 5),
            log=log,
            similar="below" if spec.name in BELOW else "above",
            weight=round(max(0.0, 2 * mean(pairs) - 1), 3),
            range_similar=(round(min(similar), 4), round(max(similar), 4)),
            range_different=(round(min(different), 4), round(max(different), 4)),
        )
    return rules


def derive_size(tried: Sequence[Case]) -> SizeRule:
    """From how many images on, in all and of a class, presets that move stages beat those that do not.

    The pair that is wrong in the fewest situations; among equals the one next to 1000 images, 100 a class.
    """
    usual = SizeRule(images=1000, per_class=100, scale=0.25)
    pays = [(case.measured.size, _gain_of_moving(case)) for case in tried]
    cells = [(size, gain > CLOSE) for size, gain in pays if gain is not None]
    if not cells:
        return usual

    def cost(pair: tuple[float, float]) -> tuple[int, float]:
        wrong = sum((size.images >= pair[0] and size.median >= pair[1]) != moving for size, moving in cells)
        return wrong, abs(math.log(pair[0] / usual.images)) + abs(math.log(pair[1] / usual.per_class))

    images, per_class = min(product((300, 500, 1000, 2000), (20, 30, 50, 75, 100, 150, 200)), key=cost)
    return SizeRule(images=images, per_class=per_class, scale=usual.scale)


def _gain_of_moving(case: Case) -> float | None:
    scores = _known_scores(case)
    frozen = [score for title, score in scores.items() if title in HEAD_ALONE]
    moving = [score for title, score in scores.items() if title not in HEAD_ALONE]
    return max(moving) - max(frozen) if frozen and moving else None


def _known_scores(case: Case) -> dict[str, float]:
    return {title: score for title, score in case.situation.means.items() if title in ADVISED}


def _known(case: Case, thresholds: Thresholds) -> Known:
    place = place_of(case.measured.size, evidence_of(case.measured, thresholds), thresholds.size)
    here = situation_of(case.measured, place, case.situation.name)
    scores = {title: round(score, 5) for title, score in _known_scores(case).items()}
    changes = {"data": case.data, "scores": scores, "similar": round(here.similar, 4), "skill": round(here.skill, 4)}
    changes |= {name: round(getattr(here, name) or 0.0, 4) for name in ("gain", "ahead")}
    return here.model_copy(update=changes)


@dataclass(frozen=True)
class Verdict:
    """Advice against the bake-off in one situation."""

    case: Case
    advised: str
    similar: bool
    cell: str
    best: str
    regret: float
    right: bool


def judged(case: Case, thresholds: Thresholds) -> Verdict:
    """What the thresholds advise, and how much worse it is than the best preset."""
    _, place, choices = recommend(case.measured, thresholds, case.data)
    scores = _known_scores(case)
    advised = next((choice.title for choice in choices if choice.title in scores), choices[0].title)
    if not scores:
        return Verdict(case, advised, place.similarity == "similar", place.cell, "", 0.0, True)
    best = max(scores, key=lambda title: scores[title])
    regret = scores[best] - scores.get(advised, min(scores.values()))
    right = regret <= max(CLOSE, case.situation.spread(best)) + 1e-9
    return Verdict(case, advised, place.similarity == "similar", place.cell, best, regret, right)


def _held_out(cases: Sequence[Case], make: Callable[[Sequence[Case]], Thresholds]) -> dict[str, float]:
    """What a rule does on sets that it has not seen, one after the other."""
    verdicts = []
    for data in sorted({case.data for case in cases}):
        rest = [case for case in cases if case.data != data]
        if rest:
            thresholds = make(rest)
            verdicts += [judged(case, thresholds) for case in cases if case.data == data]
    return _summary(verdicts)


def _summary(verdicts: Sequence[Verdict]) -> dict[str, float]:
    scored = [verdict for verdict in verdicts if verdict.best]
    truth = [verdict.similar == SETS[verdict.case.data].similar for verdict in verdicts]
    return {
        "regret": mean(verdict.regret for verdict in scored) if scored else 0.0,
        "right": mean(verdict.right for verdict in scored) if scored else 0.0,
        "similarity": mean(truth) if truth else 0.0,
        "situations": float(len(scored)),
    }


def _report(
    cases: Sequence[Case], thresholds: Thresholds, validations: dict[str, dict[str, float]], best: str
) -> list[str]:
    verdicts = [judged(case, thresholds) for case in cases]
    seen = _summary(verdicts)
    lines = ["# Calibration of the advisor", "", "Written by `benchmarks/calibrate.py derive`.", ""]
    if seen["situations"]:
        lines += [
            f"{thresholds.rows} results in {seen['situations']:.0f} situations. Rule: **{best}**. Mean regret "
            f"{100 * seen['regret']:.2f} points; within the best preset's spread or one point in {seen['right']:.0%} "
            "of the situations.",
        ]
    else:
        lines += [f"No results yet: the preset is that of the matrix. {len(cases)} situations were measured."]
    lines += [
        f"Similarity is what its owner says in {seen['similarity']:.0%} of them.",
        "",
        "## Rules, each on sets that it has not seen",
        "",
        "| rule | mean regret (points) | right | similarity |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {100 * found['regret']:.2f} | {found['right']:.0%} | {found['similarity']:.0%} |"
        for name, found in validations.items()
    ]
    lines += [
        "",
        "## Evidence",
        "",
        "| evidence | threshold | weight | similar sets | different sets |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {spec.title} | {rule.threshold:.3g} | {rule.weight:.2f} | {rule.range_similar[0]:.3g} to "
        f"{rule.range_similar[1]:.3g} | {rule.range_different[0]:.3g} to {rule.range_different[1]:.3g} |"
        for spec in EVIDENCE
        for rule in [thresholds.evidence[spec.name]]
    ]
    lines += regulariser_table(thresholds.regularisers)
    lines += ["", "## Advice against bake-off", ""]
    lines += [
        "| situation | cell | advised | score | best | score | regret (points) | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for verdict in sorted(verdicts, key=lambda verdict: verdict.case.situation.name):
        scores = _known_scores(verdict.case)
        numbers = [f"{scores[title]:.3f}" if title in scores else "–" for title in (verdict.advised, verdict.best)]
        lines.append(
            f"| {verdict.case.situation.name} | {verdict.cell} | {verdict.advised} | {numbers[0]} "
            f"| {verdict.best or '–'} | {numbers[1]} | {100 * verdict.regret:.1f} "
            f"| {'' if verdict.right else 'wrong'} |"
        )
    return lines
