"""Derive the rule that chooses a preset from the bake-off: where its branches begin, and the preset of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import product
from statistics import mean
from typing import get_args

from benchmarks.verdicts import Case, known_scores
from toolkit.advise.advisor import situation_of
from toolkit.advise.choose import ADVISED, Situation, branch_of
from toolkit.advise.evidence import evidence_of
from toolkit.advise.matrix import locate
from toolkit.advise.thresholds import Branch, BranchRule, PresetRule, Thresholds

__all__ = ["derive_branches"]

LEADS = (1.0, 1.5, 2.0, None)
FEW = (0, 100, 150, 250)
"""Numbers of training images at which branch ``few`` may end, besides the one from which fine-tuning stages pays."""
_SHALLOW = "shallow_probe"


def derive_branches(
    cases: Sequence[Case], thresholds: Thresholds, candidates: Collection[str] = ADVISED, *, split: bool = True
) -> PresetRule:
    """The branch limits with the smallest loss, each branch with the preset that loses least in it.

    Branch ``shallow`` always selects shallow features, because the probes on the data itself say so. Branch ``few``
    ends at one of ``FEW`` or where fine-tuning stages begins to pay, or does not exist.

    Args:
        cases: Cases with results.
        thresholds: Decide how similar each case is.
        candidates: Presets that the other branches may select, the cheapest first.
        split: Distinguish situations; otherwise all branches use the same preset.
    """
    found = [(_situation(case, thresholds), _losses(case)) for case in cases]
    if not split:
        whole = _branch("rest", [losses for _, losses in found], candidates)
        return _rule(found, 0, None, candidates).model_copy(update={"branches": dict.fromkeys(get_args(Branch), whole)})
    borders = sorted({*FEW, round(thresholds.moving.images)})
    rules = [_rule(found, few, lead, candidates) for few, lead in product(borders, LEADS)]
    return min(rules, key=_total)


def _situation(case: Case, thresholds: Thresholds) -> Situation:
    place = locate(case.measured.size, evidence_of(case.measured, thresholds), thresholds.size)
    return situation_of(case.measured, place)


def _losses(case: Case) -> dict[str, float]:
    scores = known_scores(case)
    best = max(scores.values())
    return {preset: best - scores[preset] for preset in ADVISED if preset in scores}


def _rule(
    found: Sequence[tuple[Situation, dict[str, float]]], few: int, lead: float | None, candidates: Collection[str]
) -> PresetRule:
    rule = PresetRule(
        kind="branches",
        few=few,
        lead=lead,
        most_images=max(here.train_images for here, _ in found),
        most_per_class=max(here.per_class for here, _ in found),
    )
    groups: dict[Branch, list[dict[str, float]]] = defaultdict(list)
    for here, losses in found:
        groups[branch_of(here, rule)].append(losses)
    branches = {branch: _branch(branch, group, candidates) for branch, group in groups.items()}
    return rule.model_copy(update={"branches": branches})


def _branch(branch: Branch, group: Sequence[dict[str, float]], candidates: Collection[str]) -> BranchRule:
    presets = {preset for losses in group for preset in losses}
    means = {
        preset: mean(losses[preset] for losses in group if preset in losses) for preset in ADVISED if preset in presets
    }
    allowed = [preset for preset in means if preset in candidates] or list(means)
    preset = _SHALLOW if branch == "shallow" and _SHALLOW in means else min(allowed, key=lambda preset: means[preset])
    return BranchRule(
        preset=preset, losses={preset: round(loss, 5) for preset, loss in means.items()}, situations=len(group)
    )


def _total(rule: PresetRule) -> float:
    return sum(branch.losses[branch.preset] * branch.situations for branch in rule.branches.values())
