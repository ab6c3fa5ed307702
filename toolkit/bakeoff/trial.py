"""One finished run of a bake-off, read from its folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.bakeoff.candidates import Candidate
from toolkit.config import Config
from toolkit.core.errors import TrainingError
from toolkit.engine import RunFolder
from toolkit.tasks import Metric

FACTS = "trial.json"
"""What a bake-off knows of a run beside ``run.json``."""


@dataclass(frozen=True)
class Trial:
    """One candidate trained with one seed.

    Attributes:
        candidate: Its title.
        seed: The run's seed.
        folder: The run.
        score: The main metric of the best epoch: on the test images where there are some, else on the validation ones.
        value: The same on the validation images.
        best_epoch: The best epoch (1-based).
        epochs: Epochs that were trained.
        planned: Epochs of the plan.
        seconds: From the beginning of training to its end over all sittings, with features, evaluations and a search
            for rates.
        memory: Most memory of the run's own process in bytes (on a GPU: of Paddle there); None where it had no process
            of its own.
        exported: Size of the exported model in bytes, where this run was exported.
        parameters: Number of weights: ``total, trainable, frozen`` (in the last phase).
        halted: Where it was stopped as hopeless: ``epoch, least, leader, value, reached``; None: it was not.
        curve: ``(epoch, seconds, value)`` of each epoch, on the validation images.
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

    def best_until(self, epoch: int, metric: Metric) -> float:
        """The best validation value of the first so many epochs; NaN where there is none."""
        values = [value for number, _, value in self.curve if number <= epoch and math.isfinite(value)]
        return (max if metric.better == "max" else min)(values, default=math.nan)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
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
        }


def finished_trial(config: Config, candidate: Candidate, metric: Metric) -> Trial | None:
    """The finished run of a config; None when there is none, or when it was killed before all was noted of it."""
    for folder in _runs(config):
        with folder.passed_over():
            if (folder.path / FACTS).is_file() and folder.read_record().get("finished"):
                return trial_of(folder, candidate, config.seed, metric)
    return None


def begun_run(config: Config) -> Path | None:
    """A run of the config that was begun and can go on."""
    return next((run.path for run in _runs(config) if run.last.is_file() or run.previous.is_file()), None)


def time_spent(config: Config) -> float:
    """Seconds of training in the runs of a config, finished or not."""
    return sum(line["seconds"] for folder in _runs(config) for line in folder.read_metrics())


def trial_of(folder: RunFolder, candidate: Candidate, seed: int, metric: Metric) -> Trial:
    """Read a finished run."""
    record, facts = folder.read_record(), _facts(folder)
    result, lines = record["result"], folder.read_metrics()
    clock = facts.get("clock") or []
    if len(clock) != len(lines):  # not one of ours: the epochs alone, without what was computed before them
        clock = [sum(line["seconds"] for line in lines[: index + 1]) for index in range(len(lines))]
    return Trial(
        candidate=candidate.title,
        seed=seed,
        folder=folder.path,
        score=float((result.get("test") or result["best"])[metric.name]),
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
    """Move a finished run's VisualDL record to the folder that all runs share, and leave a link in its place.

    VisualDL follows no links and calls a run by its path: so the records stand side by side under short names. Where
    the system gives no links the record stays where it is.

    Args:
        run: The run's folder.
        folder: The shared folder; the record goes into ``folder/<name of the run>``.
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


def _runs(config: Config) -> Iterator[RunFolder]:
    """Folders of this very config: ``name``, or ``name-2``, ... where another one had taken the name."""
    number = 1
    while True:
        folder = RunFolder(config.output_dir / (config.name if number == 1 else f"{config.name}-{number}"))
        if not folder.path.is_dir():
            return
        same = False
        with folder.passed_over():
            same = folder.config.is_file() and not folder.differences(config)
        if same:
            yield folder
        number += 1


def _facts(folder: RunFolder) -> dict[str, Any]:
    path = folder.path / FACTS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (RecursionError, TypeError, ValueError) as error:
        raise TrainingError(f"{path} is damaged", hint="remove its run's folder: it is trained again") from error
