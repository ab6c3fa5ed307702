"""The results of a bake-off in sentences: which differences are larger than the spread, and which are not."""

from __future__ import annotations

from collections.abc import Sequence

from toolkit.bakeoff import USUAL_RECIPE, BakeOff, Comparison, Difference
from toolkit.bakeoff.comparison import winner
from toolkit.bakeoff.statistics import differences, interval
from toolkit.explain.tables import parts_of_time
from toolkit.pages.words import gap_words, metric_words
from toolkit.tasks import Metric

PARTS = {"val": "validation", "test": "test", "folds": "training"}
_FEW_SEEDS = 3


def comparison_statements(found: BakeOff) -> list[str]:
    """Return the sentences below the table, the most important first."""
    first, *differing = lead_statements(found.rows, found.split, found.images)
    said = [first, *_missing(found), *differing, *_under_shift(found), *_usual_recipe(found), *_convergence(found)]
    return [*said, *_halted(found), *_left_out(found)]


def lead_statements(rows: Sequence[Comparison], split: str, images: int) -> list[str]:
    """Describe the best row and its lead over each of the others: means of paired differences, with intervals.

    Args:
        rows: One or more rows.
        split: Split on which the scores are measured: ``test``, ``val``, or ``folds`` of the training images.
        images: Number of images in that split.
    """
    return [_best(rows, split, images), *_differences(rows, images, _unit(split))]


def _unit(split: str) -> str:
    return "fold" if split == "folds" else "seed"


def score_words(row: Comparison) -> str:
    """Format mean and spread: ``95.2 % ± 0.7``."""
    words = metric_words(row.metric.name, row.mean)
    if len(row.scores) < 2:
        return words
    return f"{words} ± {metric_words(row.metric.name, row.spread).removesuffix(chr(160) + '%')}"


def lead_words(rows: Sequence[Comparison]) -> tuple[str, str] | None:
    """Describe what only the winner has completed, and the consequence; None if others have completed as much."""
    best = winner(rows)
    seeds, others = len(best.scores) - len(best.halted), [len(row.scores) for row in rows if row is not best]
    if not others:
        return "finished", "there is nothing to compare it with"
    if max(others) < seeds:
        return f"finished {seeds} seeds", f"the others finished at most {max(others)}, and one of them may be better"
    return None


def _best(rows: Sequence[Comparison], split: str, images: int) -> str:
    row, alone = winner(rows), lead_words(rows)
    seeds = len(row.scores)
    where = f"{images:,} {PARTS[split]} image{'s' if images != 1 else ''}"
    where += " in all, each held out once" if split == "folds" else " each"
    begins = f"Only {row.title} {alone[0]}" if alone else f"Best: {row.title}"
    ends = f": {alone[1]}" if alone else ""
    count = f"{seeds} {_unit(split)}{'s' if seeds != 1 else ''}"
    return f"{begins}, {row.metric.title} {score_words(row)}{_range(row, split)} ({count}, {where}){ends}."


def _range(row: Comparison, split: str) -> str:
    """The interval of a cross-validated score."""
    ends = interval(row.scores, folds=True) if split == "folds" else None
    if ends is None:
        return ""
    low, high = (metric_words(row.metric.name, end) for end in ends)
    return f", 95 % interval {low} to {high}"


def _differences(rows: Sequence[Comparison], images: int, unit: str) -> list[str]:
    metric, found = rows[0].metric, differences(rows, images, folds=unit == "fold")
    groups: dict[str, list[Difference]] = {"clear": [], "within": [], "unknown": []}
    for difference in found:
        groups[difference.verdict].append(difference)
    said = []
    if groups["clear"]:
        listed = _listed(metric, groups["clear"])
        said.append(f"Its lead is larger than the spread over the {unit}s against {listed}.")
    if groups["within"]:
        listed = _listed(metric, groups["within"])
        said.append(f"It cannot be distinguished from {listed}: the interval of the difference contains 0.")
    if groups["unknown"]:
        names = ", ".join(difference.other for difference in groups["unknown"])
        said.append(
            f"Whether its lead over {names} is more than chance is unknown: a spread needs two or more {unit}s."
        )
    fewest = min((difference.seeds for difference in found if difference.seeds > 1), default=0)
    if 0 < fewest <= _FEW_SEEDS:
        said.append(f"With {fewest} {unit}s, intervals are wide: a small difference may be real but undetected.")
    return said


def _missing(found: BakeOff) -> list[str]:
    if not found.missing:
        return []
    pronoun = "it" if len(found.missing) == 1 else "them"
    return [
        f"Not trained, although every comparison should include {pronoun}: {', '.join(found.missing)}. "
        f"The statements here do not cover {pronoun}."
    ]


def _listed(metric: Metric, found: Sequence[Difference]) -> str:
    return ", ".join(
        f"{lead.other} ({gap_words(metric, lead.mean)}, 95 % interval {_interval(metric, lead)})" for lead in found
    )


def _interval(metric: Metric, difference: Difference) -> str:
    low, high = (gap_words(metric, end or 0.0) for end in (difference.low, difference.high))
    return f"{low.removesuffix(' points')} to {high.removesuffix(' points')}"


def _usual_recipe(found: BakeOff) -> list[str]:
    """Compare the best other candidate with the usual recipe, for each network."""
    several = len({row.network for row in found.rows}) > 1
    said = []
    for row in (row for row in found.rows if row.preset == USUAL_RECIPE):
        others = [other for other in found.rows if other is not row and other.network == row.network]
        if not others:
            continue
        ours = winner(others)
        gap = (ours.mean - row.mean) * (1 if found.metric.better == "max" else -1)
        verdict = "better" if gap > 0 else "worse" if gap < 0 else "the same"
        where = f" on {row.network}" if several else ""
        stopped = ", which was stopped early" if row.halted else ""
        said.append(
            f"Compared with the usual recipe{where} (everything fine-tuned at one rate{stopped}: {score_words(row)}), "
            f"{ours.title} is {verdict if gap == 0 else f'{gap_words(found.metric, abs(gap))} {verdict}'}."
        )
    return said


def _under_shift(found: BakeOff) -> list[str]:
    """Name the candidates that the scores cannot tell from the best one, but corrupted images can."""
    alike = {lead.other for lead in found.differences if lead.verdict == "within"}
    said = []
    for lead in found.shift_differences:
        if lead.other in alike and lead.low is not None and lead.high is not None and lead.low * lead.high > 0:
            verdict = "worse" if lead.mean > 0 else "better"
            ends = sorted((abs(lead.low), abs(lead.high)))
            low, high = (gap_words(found.metric, end).removesuffix(" points") for end in ends)
            gap = gap_words(found.metric, abs(lead.mean))
            said.append(f"{lead.other} is {gap} {verdict} (95 % interval {low} to {high})")
    words = (
        f"Under shift, on corrupted images, a candidate that cannot be distinguished from {found.winner.title} differs"
    )
    return [f"{words}: {'; '.join(said)}."] if said else []


def _convergence(found: BakeOff) -> list[str]:
    said = []
    for arrival in found.convergence:
        level = metric_words(found.metric.name, arrival.level)
        ours = f"{_epochs(arrival.epochs)} and {parts_of_time(arrival.seconds)}"
        theirs = f"{_epochs(arrival.scratch_epochs)} and {parts_of_time(arrival.scratch_seconds)}"
        level_of = f"{arrival.scratch} {'reached before it was stopped' if arrival.stopped else 'ever reached'}"
        said.append(
            f"On the validation images {arrival.candidate} reached {level}, the best that {level_of}, after {ours}; "
            f"{arrival.scratch} took {theirs}."
        )
    return said


def _epochs(count: float) -> str:
    return f"{count:.3g} epoch{'s' if count != 1 else ''}"


def _halted(found: BakeOff) -> list[str]:
    rows = [row for row in found.rows if row.halted]
    if not rows:
        return []
    words = []
    for row in rows:
        epochs = sorted({trial.epochs for trial in row.halted})
        after = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
        words.append(f"{row.title} (after {after} of {row.halted[0].planned})")
    single = sum(len(row.halted) for row in rows) == 1
    they, their, them, were = ("it", "its", "it", "was") if single else ("they", "their", "them", "were")
    return [
        f"Stopped early because {they} {were} far behind: {', '.join(words)}. What {they} would have reached by "
        f"{their} end is unknown; --to-the-end trains {them} completely."
    ]


def _left_out(found: BakeOff) -> list[str]:
    said = []
    for why, words in (("budget", "Left out for lack of time"), ("failed", "Could not be trained")):
        items = [item for item in found.left_out if item.why == why]
        listed = []
        for name in dict.fromkeys(item.candidate for item in items):
            mine = [item for item in items if item.candidate == name]
            seeds = ", ".join(str(item.seed) for item in mine)
            listed.append(f"{name}, seed{'s' if len(mine) > 1 else ''} {seeds} ({mine[0].words})")
        said += [f"{words}: {'; '.join(listed)}."] if listed else []
    return said
