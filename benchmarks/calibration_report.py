"""The calibration's report in Markdown: rules, evidence, regularisers, and advice compared with the bake-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.regularisers import regulariser_table
from benchmarks.verdicts import Verdict, summary_of
from toolkit.advise.evidence import EVIDENCE
from toolkit.advise.thresholds import Thresholds

__all__ = ["report_lines"]


def report_lines(
    verdicts: Sequence[Verdict],
    unseen: Sequence[Verdict],
    thresholds: Thresholds,
    validations: dict[str, dict[str, float]],
    best: str,
) -> list[str]:
    """All lines.

    Args:
        verdicts: Verdicts of the final thresholds.
        unseen: Verdicts of the same rule, derived without the data set in question.
        thresholds: The final ones.
        validations: Rule -> its summary on data sets it has not seen.
        best: Name of the chosen rule.
    """
    rules = [
        f"| {name} | {100 * found['regret']:.2f} | {found['right']:.0%} | {found['similarity']:.0%} |"
        for name, found in validations.items()
    ]
    evidence = [
        f"| {spec.title} | {rule.threshold:.3g} | {rule.weight:.2f} | {rule.range_similar[0]:.3g} to "
        f"{rule.range_similar[1]:.3g} | {rule.range_different[0]:.3g} to {rule.range_different[1]:.3g} |"
        for spec in EVIDENCE
        for rule in [thresholds.evidence[spec.name]]
    ]
    return [
        *("# Calibration of the advisor", "", "Written by `benchmarks/calibrate.py derive`.", ""),
        *_summary(summary_of(verdicts), validations[best], thresholds.rows, best),
        *_similarity(verdicts, validations[best]["similarity"]),
        *("", "## Rules, each on data sets it has not seen", ""),
        *("| rule | mean regret (points) | right | similarity |", "|---|---|---|---|", *rules),
        *("", "## Evidence", ""),
        *(
            "| evidence | threshold | weight | similar data sets | different data sets |",
            "|---|---|---|---|---|",
            *evidence,
        ),
        *regulariser_table(thresholds.regularisers),
        *("", "## Advice compared with the bake-off", ""),
        *_advice(verdicts, unseen),
    ]


def _summary(seen: Mapping[str, float], blind: Mapping[str, float], rows: int, best: str) -> list[str]:
    if seen["situations"]:
        first = (
            "**On data sets that the rule has not seen** (leave one set out), the advised preset is the best one, or "
            "behind it by at most one point or the spread over seeds (standard deviation, pooled over presets), in "
            f"{blind['right']:.0%} of the situations, with a mean regret of {100 * blind['regret']:.2f} points. On "
            f"those that it was derived from, which says little: {seen['right']:.0%} and {100 * seen['regret']:.2f}. "
            f"{rows} results in {seen['situations']:.0f} situations; rule: **{best}**."
        )
    else:
        first = "No results yet: presets are those of the matrix."
    return [first]


def _similarity(verdicts: Sequence[Verdict], blind: float) -> list[str]:
    """How often the similarity matches what the data set's owner says, and where it does not."""
    tried = [verdict for verdict in verdicts if verdict.best]
    shares = " and ".join(
        f"{sum(verdict.similar_right for verdict in group)} of {len(group)} {name}"
        for group, name in ((verdicts, "measured situations"), (tried, "of those with results"))
        if group
    )
    wrong = sorted(verdict.case.situation.name for verdict in verdicts if not verdict.similar_right)
    names = f" Wrong: {'; '.join(wrong)}." if wrong else ""
    return [f"Similarity matches the data set's owner in {shares}; {blind:.0%} if the data set was not seen.{names}"]


def _advice(verdicts: Sequence[Verdict], unseen: Sequence[Verdict]) -> list[str]:
    blind = {verdict.case.situation.key: verdict for verdict in unseen}
    known = sorted((each for each in verdicts if each.best), key=lambda each: each.case.situation.name)
    return [
        "| situation | cell | best | score | spread | advised | regret (points) | not seen: advised | regret |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {situation.name} | {verdict.cell} | {verdict.best} | {situation.means[verdict.best]:.3f} "
            f"| {100 * situation.spread:.1f} | {_told(verdict)} | {_told(blind[situation.key])} |"
            for verdict in known
            for situation in [verdict.case.situation]
        ),
    ]


def _told(verdict: Verdict) -> str:
    regret = f"{100 * verdict.regret:.1f}"
    return f"{verdict.advised} | {regret if verdict.right else f'**{regret}**'}"
