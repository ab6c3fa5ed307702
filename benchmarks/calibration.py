"""Derive the advisor's thresholds from bake-off results and evidence, and test them on data sets they have not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.branches import derive_branches
from benchmarks.calibrate import SETS, WEIGHTS, Situation, key_of
from benchmarks.calibration_report import report_lines
from benchmarks.regularisers import derive_regularisers
from benchmarks.verdicts import CLOSE, Case, held_out, judged, known_scores, summary_of
from toolkit.advise.choose import ADVISED, HEAD_ALONE
from toolkit.advise.evidence import EVIDENCE
from toolkit.advise.measurement import Measurement
from toolkit.advise.thresholds import (
    EvidenceRule,
    MovingRule,
    PresetRule,
    Thresholds,
    load_thresholds,
)
from toolkit.core.files import write_text

__all__ = ["derive", "derive_evidence", "derive_moving", "fitted"]

LOGARITHMIC = frozenset({"batchnorm"})
BELOW = frozenset({"batchnorm"})
_IMAGES = (20, 30, 45, 60, 100, 150, 200, 300, 500, 1000, 2000)
_PER_CLASS = (1, 5, 10, 20, 30, 50, 75, 100, 150, 200)
"""Candidates for the size from which fine-tuning stages pays, in total and per class."""
_SURE = 2.0
"""Log-odds assigned to the mean of the similar (different) data sets."""


def derive(
    situations: Sequence[Situation],
    evidence: Sequence[dict[str, Any]],
    rows: Sequence[dict[str, Any]],
    output: Path,
    report: Path,
) -> int:
    """Write thresholds and the report, and print the report.

    Args:
        situations: The bake-off's results.
        evidence: Lines of the evidence table.
        rows: Lines of the bake-off, including those with a regulariser.
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
    tried = [case for case in cases if known_scores(case)]
    unseen = {name: held_out(cases, make) for name, make in RULES.items()}
    validations = {name: summary_of(verdicts) for name, verdicts in unseen.items()}
    best = min(validations, key=lambda name: _standing(validations[name])) if tried else "matrix"
    final = RULES[best](cases)
    facts = {f"{name}: {key}": round(value, 5) for name, found in validations.items() for key, value in found.items()}
    final = final.model_copy(
        update={
            "rule": final.rule.model_copy(update={"validation": facts}),
            "regularisers": derive_regularisers(rows),
        }
    )
    write_text(output, final.model_dump_json(indent=1) + "\n")
    lines = report_lines([judged(case, final) for case in cases], unseen[best], final, validations, best)
    write_text(report, "\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


def _standing(found: Mapping[str, float]) -> tuple[float, float]:
    """Sort key of rules: the share of situations in which they are right, then regret; the smallest is the best."""
    return -found["right"], found["regret"]


def fitted(cases: Sequence[Case], candidates: Collection[str] | None = ADVISED) -> Thresholds:
    """Thresholds derived from some cases.

    Args:
        cases: What they are derived from.
        candidates: Presets that branches may select; None: use the matrix's preset.
    """
    tried = [case for case in cases if known_scores(case)]
    draft = Thresholds(
        version=1,
        provisional=not tried,
        rows=sum(len(scores) for case in tried for scores in case.situation.scores.values()),
        sets=tuple(sorted({case.data for case in cases})),
        networks=tuple(sorted({case.measured.network for case in cases})),
        moving=derive_moving(tried),
        evidence=derive_evidence(cases),
        rule=PresetRule(kind="matrix"),
    )
    if candidates is None or not tried:
        return draft
    return draft.model_copy(update={"rule": derive_branches(tried, draft, candidates)})


def constant(cases: Sequence[Case]) -> Thresholds:
    """The simplest rule: the preset that loses least on average, whatever the data."""
    draft, tried = fitted(cases, None), [case for case in cases if known_scores(case)]
    return draft.model_copy(update={"rule": derive_branches(tried, draft, split=False)}) if tried else draft


def always(cases: Sequence[Case], preset: str) -> Thresholds:
    """One preset for all situations, named in advance."""
    draft, tried = fitted(cases, None), [case for case in cases if known_scores(case)]
    if not tried:
        return draft
    return draft.model_copy(update={"rule": derive_branches(tried, draft, [preset], split=False)})


def neighbours_alone(cases: Sequence[Case]) -> Thresholds:
    """The matrix's preset, with the gain of nearest neighbours as the only evidence of similarity."""
    draft = fitted(cases, None)
    alone = {name: rule.model_copy(update={"weight": float(name == "knn")}) for name, rule in draft.evidence.items()}
    return draft.model_copy(update={"evidence": alone})


RULES: dict[str, Callable[[Sequence[Case]], Thresholds]] = {
    "matrix": partial(fitted, candidates=None),
    "matrix, by nearest neighbours alone": neighbours_alone,
    "always most_stages": partial(always, preset="most_stages"),
    "always all_stages": partial(always, preset="all_stages"),
    "one preset for all": constant,
    "branches": fitted,
    "branches of presets that move stages": partial(
        fitted, candidates=[preset for preset in ADVISED if preset not in HEAD_ALONE]
    ),
}
"""Rules to choose from: name -> function from cases to thresholds."""


def derive_evidence(cases: Iterable[Case]) -> dict[str, EvidenceRule]:
    """For each piece of evidence, the midpoint between the two kinds of data sets, and how well it separates them.

    The midpoint lies between the closest data sets of both kinds; at the means of both, the log-odds are 4 apart. Each
    pair of data set and network counts once, with the most images and at the network's own image size, where the
    numbers are most certain. The weight is ``2 AUC - 1``: 1 if all similar ones are on one side, 0 if it separates
    nothing.
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


def derive_moving(tried: Sequence[Case]) -> MovingRule:
    """From how many images on, in total and per class, presets that fine-tune stages beat those that do not.

    The pair that is wrong in the fewest situations; among equals, the one closest to 1000 images, 100 per class.
    """
    usual = MovingRule(images=1000, per_class=100)
    gains = [(case.measured.size, _gain_of_moving(case)) for case in tried]
    known = [(size, gain > CLOSE) for size, gain in gains if gain is not None]
    if not known:
        return usual

    def cost(pair: tuple[float, float]) -> tuple[int, float]:
        rule = MovingRule(images=pair[0], per_class=pair[1])
        wrong = sum(rule.pays(size.images, size.median) != pays for size, pays in known)
        return wrong, abs(math.log(rule.images / usual.images)) + abs(math.log(rule.per_class / usual.per_class))

    images, per_class = min(product(_IMAGES, _PER_CLASS), key=cost)
    return MovingRule(images=images, per_class=per_class)


def _gain_of_moving(case: Case) -> float | None:
    scores = known_scores(case)
    frozen = [score for preset, score in scores.items() if preset in HEAD_ALONE]
    moving = [score for preset, score in scores.items() if preset not in HEAD_ALONE]
    return max(moving) - max(frozen) if frozen and moving else None
