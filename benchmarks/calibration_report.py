"""The calibration's report: rules, evidence, regularisers, and advice against the bake-off, in Markdown."""

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
        verdicts: Of the final thresholds.
        unseen: Of the same rule where it has not seen the data set.
        thresholds: The final ones.
        validations: Rule -> what it did on sets that it had not seen.
        best: Name of the rule that was chosen.
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
        *("", "## Rules, each on sets that it has not seen", ""),
        *("| rule | mean regret (points) | right | similarity |", "|---|---|---|---|", *rules),
        *("", "## Evidence", ""),
        *("| evidence | threshold | weight | similar sets | different sets |", "|---|---|---|---|---|", *evidence),
        *regulariser_table(thresholds.regularisers),
        *("", "## Advice against bake-off", ""),
        *_advice(verdicts, unseen),
    ]


def _summary(seen: Mapping[str, float], blind: Mapping[str, float], rows: int, best: str) -> list[str]:
    if seen["situations"]:
        first = (
            f"{rows} results in {seen['situations']:.0f} situations. Rule: **{best}**. The advised preset is the best "
            "one, or behind it by at most one point or the spread over seeds (standard deviation, pooled over "
            f"presets), in {seen['right']:.0%} of the situations, with a mean regret of {100 * seen['regret']:.2f} "
            f"points; {blind['right']:.0%} and {100 * blind['regret']:.2f} points where the rule has not seen the data "
            "set."
        )
    else:
        first = "No results yet: the preset is that of the matrix."
    return [first]


def _similarity(verdicts: Sequence[Verdict], blind: float) -> list[str]:
    """How often a set is called what its owner says, and where it is not."""
    tried = [verdict for verdict in verdicts if verdict.best]
    shares = " and ".join(
        f"{sum(verdict.similar_right for verdict in group)} of {len(group)} {name}"
        for group, name in ((verdicts, "measured situations"), (tried, "of those with results"))
        if group
    )
    wrong = sorted(verdict.case.situation.name for verdict in verdicts if not verdict.similar_right)
    names = f" Wrong: {'; '.join(wrong)}." if wrong else ""
    return [f"Similarity is what the set's owner says in {shares}; {blind:.0%} where the set was not seen.{names}"]


def _advice(verdicts: Sequence[Verdict], unseen: Sequence[Verdict]) -> list[str]:
    blind = {verdict.case.situation.key: verdict for verdict in unseen}
    known = sorted((each for each in verdicts if each.best), key=lambda each: each.case.situation.name)
    return [
        "| situation | cell | best | score | spread | advised | regret (points) | set not seen: advised | regret |",
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
