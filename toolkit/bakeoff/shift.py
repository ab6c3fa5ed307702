"""The runs of a bake-off on corrupted evaluation images, and what that tells apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from toolkit.bakeoff.comparison import Comparison, winner
from toolkit.bakeoff.statistics import Difference, difference
from toolkit.bakeoff.trial import Trial
from toolkit.core.console import info, quietly, warn
from toolkit.core.errors import ToolkitError
from toolkit.core.files import clear_os_errors, write_json
from toolkit.data import ImageSet, build_data
from toolkit.engine import RunFolder
from toolkit.engine.runs.trained import TrainedRun, load_trained
from toolkit.engine.shift import Shift, measure_shift

_FILE = "shift.json"
"""File in a run's folder with its results under shift."""


def with_shift(trials: Mapping[str, Sequence[Trial]], severities: Sequence[int]) -> dict[str, list[Trial]]:
    """Measure runs under shift, unless they were measured with these severities before.

    A run that cannot be measured is left without, with a warning: it may have been expensive, and its score stands.

    Args:
        trials: Finished runs, by the title of the candidate.
        severities: Increasing, each 1 to 5.
    """
    sets: dict[str, ImageSet] = {}
    return {
        title: [replace(trial, shift=_known_or_measured(trial, tuple(severities), sets)) for trial in found]
        for title, found in trials.items()
    }


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


def _known_or_measured(trial: Trial, severities: tuple[int, ...], sets: dict[str, ImageSet]) -> Shift | None:
    known = _stored(trial.folder / _FILE)
    if known is not None and known.severities == severities:
        return known
    try:
        with quietly():
            run = load_trained(RunFolder(trial.folder))
            found = measure_shift(run, _images(run, sets), severities)
    except ToolkitError as error:
        warn(f"{trial.candidate}, seed {trial.seed}, cannot be measured under shift: {error.message}")
        return None
    with clear_os_errors(str(trial.folder)):
        write_json(trial.folder / _FILE, found.to_json())
    mean = f"{run.objective.task.main.title} {found.mean.value:.3f} instead of {found.clean:.3f}"
    info(f"  {trial.candidate}, seed {trial.seed}, under shift: {mean}")
    return found


def _images(run: TrainedRun, sets: dict[str, ImageSet]) -> ImageSet:
    """The evaluation images of a run; runs with the same data share them."""
    data, channels = run.config.data, run.facts.preprocessing.channels
    key = f"{channels} {data.model_dump_json()}"
    if key not in sets:
        sets[key] = build_data(data, run.facts.task, channels).evaluation[1]
    return sets[key]


def _stored(path: Path) -> Shift | None:
    """What was measured before; None if it was not, or not in this way."""
    with suppress(AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError):
        return Shift.from_json(json.loads(path.read_text(encoding="utf-8")))
    return None
