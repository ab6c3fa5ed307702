"""One finished run of a bake-off, read from its folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.bakeoff.candidates import Candidate
from toolkit.config import PRESET_ALIASES, Config
from toolkit.core.errors import TrainingError
from toolkit.engine import RunFolder
from toolkit.engine.shift import Shift
from toolkit.tasks import Metric

FACTS = "trial.json"
"""File with what a bake-off records about a run in addition to ``run.json``."""


@dataclass(frozen=True)
class Trial:
    """One candidate trained with one seed.

    Attributes:
        candidate: Title of the candidate.
        seed: Seed of the run.
        folder: Folder of the run.
        score: Main metric of the best epoch on the test images if there are any, else on the validation images; of the
            last epoch for a fold of a cross-validation, whose images must not choose the epoch.
        value: Main metric of the best epoch on the validation images.
        best_epoch: The best epoch (1-based).
        epochs: Number of trained epochs.
        planned: Number of planned epochs.
        seconds: Training time over all sessions, including features, evaluations and the search for rates.
        memory: Peak memory of the run's process in bytes (on a GPU: allocated by Paddle there); None if it had no
            separate process.
        exported: Size of the exported model in bytes, if this run was exported.
        parameters: Number of weights: ``total, trainable, frozen`` (in the last phase).
        halted: Where it was stopped early: ``epoch, least, leader, value, reached``; None if it was not.
        shift: The best epoch on corrupted images, if it was measured.
        curve: ``(epoch, seconds, value)`` for each epoch, on the validation images.
    """

    candidate: str
    seed: int
    folder: Path
    score: float
    value: float
    best_epoch: int
    epochs: int
    planned: int
    seconds: float
    memory: int | None = None
    exported: int | None = None
    parameters: dict[str, int] = field(default_factory=dict)
    halted: dict[str, Any] | None = None
    curve: tuple[tuple[int, float, float], ...] = ()
    shift: Shift | None = None

    def best_until(self, epoch: int, metric: Metric) -> float:
        """Return the best validation value up to an epoch; NaN if there is none."""
        values = [value for other, _, value in self.curve if other <= epoch and math.isfinite(value)]
        return (max if metric.better == "max" else min)(values, default=math.nan)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "seed": self.seed,
            "run_dir": str(self.folder),
            "score": self.score,
            "val": self.value,
            "best_epoch": self.best_epoch,
            "epochs": self.epochs,
            "planned_epochs": self.planned,
            "seconds": round(self.seconds, 3),
            "peak_memory": self.memory,
            "exported_bytes": self.exported,
            "halted": self.halted,
            **({} if self.shift is None else {"shift": self.shift.to_json()}),
        }


def finished_trial(config: Config, candidate: Candidate, metric: Metric) -> Trial | None:
    """Return the finished run of a config; None if there is none, or it was killed before everything was recorded."""
    for folder in runs_of(config):
        with folder.passed_over():
            if (folder.path / FACTS).is_file() and folder.read_record().get("finished"):
                return trial_of(folder, candidate, config.seed, metric, held_out=config.data.fold is not None)
    return None


def begun_run(config: Config) -> Path | None:
    """Return an unfinished run of the config that can be continued."""
    return next((run.path for run in runs_of(config) if run.last.is_file() or run.previous.is_file()), None)


def time_spent(config: Config) -> float:
    """Return the seconds of training in all runs of a config, finished or not."""
    return sum(line["seconds"] for folder in runs_of(config) for line in folder.read_metrics())


def trial_of(folder: RunFolder, candidate: Candidate, seed: int, metric: Metric, *, held_out: bool = False) -> Trial:
    """Read a finished run; ``held_out``: its validation images are a fold, which only the last epoch is scored on."""
    record, facts = folder.read_record(), _facts(folder)
    result, lines = record["result"], folder.read_metrics()
    clock = facts.get("clock") or []
    if len(clock) != len(lines):  # not a run of a bake-off: only epochs, without earlier computations
        clock = [sum(line["seconds"] for line in lines[: index + 1]) for index in range(len(lines))]
    judged = result["last"] if held_out else result.get("test") or result["best"]
    return Trial(
        candidate=candidate.title,
        seed=seed,
        folder=folder.path,
        score=float(judged[metric.name]),
        value=float(result["best"][metric.name]),
        best_epoch=result["best"]["epoch"],
        epochs=len(lines),
        planned=sum(phase["epochs"] for phase in record["plan"]["phases"]),
        seconds=float(clock[-1]) if clock else float(result["seconds"]),
        memory=facts.get("memory"),
        exported=facts.get("exported"),
        parameters=result["parameters"],
        halted=facts.get("halted"),
        curve=tuple(
            (line["epoch"], float(when), float(line["val"][metric.name]))
            for line, when in zip(lines, clock, strict=True)
        ),
    )


def gather_record(run: Path, folder: Path) -> None:
    """Move a finished run's VisualDL log to a shared folder, and leave a link in the run.

    VisualDL does not follow links and names a run by its path, so this puts the logs side by side under short names. If
    the system does not allow links, the log stays where it is.

    Args:
        run: The run's folder.
        folder: The shared folder; the log goes to ``folder/<name of the run>``.
    """
    source, target = RunFolder(run).visualdl, folder / run.name
    if source.is_symlink() or not source.is_dir() or target.exists():
        return
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        source.rename(target)
        try:
            source.symlink_to(os.path.relpath(target, run), target_is_directory=True)
        except OSError:
            target.rename(source)


def runs_of(config: Config) -> Iterator[RunFolder]:
    """Yield the run folders of this config: ``name``, or ``name-2``, ... if another config uses the name."""
    for name in _names(config):
        number = 1
        while (folder := RunFolder(config.output_dir / (name if number == 1 else f"{name}-{number}"))).path.is_dir():
            same = False
            with folder.passed_over():
                same = folder.config.is_file() and not folder.differences(config)
            if same:
                yield folder
            number += 1


def _names(config: Config) -> Iterable[str]:
    """Return the name of a run, and those it had when its preset had an earlier name."""
    preset = config.transfer.preset
    earlier = (alias.replace("/", "-") for alias, name in PRESET_ALIASES.items() if name == preset)
    return dict.fromkeys((config.name, *(config.name.replace(preset, alias) for alias in earlier)))


def _facts(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / FACTS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (RecursionError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is damaged", hint="remove the run's folder to train it again") from error
