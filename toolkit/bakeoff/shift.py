"""The runs of a bake-off on corrupted evaluation images, and what that tells apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from toolkit.bakeoff.comparison import Comparison, winner
from toolkit.bakeoff.statistics import Difference, difference
from toolkit.bakeoff.trial import Trial
from toolkit.core.console import info, quietly
from toolkit.core.files import write_json
from toolkit.data import build_data
from toolkit.engine import RunFolder
from toolkit.engine.runs.trained import load_trained
from toolkit.engine.shift import Shift, measure_shift

_FILE = "shift.json"
"""File in a run's folder with its results under shift."""


def with_shift(trials: Sequence[Trial], severities: Sequence[int]) -> list[Trial]:
    """Measure runs under shift, unless they were measured with these severities before.

    Args:
        trials: Finished runs of one candidate.
        severities: Increasing, each 1 to 5.

    Raises:
        ToolkitError: The images or the weights of a run cannot be read.
    """
    return [replace(trial, shift=_measured(trial, tuple(severities))) for trial in trials]


def shift_differences(rows: Sequence[Comparison], images: int, *, folds: bool = False) -> list[Difference]:
    """Compare the best row with the others by the mean under shift; see ``differences``.

    Returns:
        One item for each other row that was measured under shift; empty if the best one was not.
    """
    best = winner(rows)
    if best.shifted is None:
        return []
    others = (row for row in rows if row is not best and row.shifted is not None)
    return [difference(_as_shifted(best), _as_shifted(row), images, folds=folds) for row in others]


def _as_shifted(row: Comparison) -> Comparison:
    """The same row, with its means under shift as scores."""
    trials = tuple(replace(trial, score=trial.shift.mean.value) for trial in row.trials if trial.shift is not None)
    return replace(row, scores=tuple(trial.score for trial in trials), trials=trials)


def _measured(trial: Trial, severities: tuple[int, ...]) -> Shift:
    known = _stored(trial.folder / _FILE)
    if known is not None and known.severities == severities:
        return known
    with quietly():
        run = load_trained(RunFolder(trial.folder))
        images = build_data(run.config.data, run.facts.task, run.facts.preprocessing.channels).evaluation[1]
        found = measure_shift(run, images, severities)
    write_json(trial.folder / _FILE, found.to_json())
    mean = f"{run.objective.task.main.title} {found.mean.value:.3f} instead of {found.clean:.3f}"
    info(f"  {trial.candidate}, seed {trial.seed}, under shift: {mean}")
    return found


def _stored(path: Path) -> Shift | None:
    """What was measured before; None if it was not, or not in this way."""
    with suppress(AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        return Shift.from_json(json.loads(path.read_text(encoding="utf-8")))
    return None
