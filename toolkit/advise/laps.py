"""Short trainings for a race: on folds of the training images, with features shared by all of them."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolkit.advise.race import EPOCHS, FOLDS, LEAST_IMAGES, PRIOR_ERROR, Lap, RaceResult, Runner, run_race
from toolkit.bakeoff.trial import runs_of
from toolkit.config import Config, make_config
from toolkit.core.console import info, quietly
from toolkit.core.errors import Interrupted
from toolkit.core.files import clear_os_errors
from toolkit.core.runtime import world_size
from toolkit.data import ImageSet
from toolkit.engine import Trainer, prepare_job
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.learning.objective import make_objective
from toolkit.tasks import TASKS
from toolkit.transfer import Plan

_LEAST_EPOCHS = 3
_FILE = "lap.npz"


def lap_config(config: Config, plan: Plan, fold: int, folder: Path, stem: str | None = None) -> Config:
    """Return the config of one short training.

    Args:
        config: The job with the preset to train.
        plan: Its plan.
        fold: Index of the fold to hold out.
        folder: Folder for the run.
        stem: Beginning of the run's name; by default the preset.
    """
    values = config.model_dump()
    if moves_stages(plan) and not config.transfer.phases:
        first = sum(phase.epochs for phase in plan.phases if phase.frozen == len(phase.multipliers))
        values["transfer"] |= {"head_first": first}
        values["train"] |= {"epochs": short_epochs(plan.epochs - first)}
    values["data"] |= {"fold": f"{fold + 1}/{FOLDS}"}
    values["train"] |= {"resume": None}
    values |= {
        "name": f"{stem or plan.preset}-fold{fold + 1}",
        "output_dir": folder,
        "log": {**values["log"], "visualdl": False, "sample_images": 0},
        "export": {"enabled": False, "report": False},
        "callbacks": {},  # the user's own are for the training, not for trials
    }
    return make_config(values)


def moves_stages(plan: Plan) -> bool:
    """Return whether the last phase trains stages, not only the head."""
    return plan.phases[-1].frozen < len(plan.phases[-1].multipliers)


def why_no_race(config: Config, images: int) -> str | None:
    """Return why presets or networks cannot be raced on a config's training images; None if they can.

    Args:
        config: The job.
        images: Number of training images.
    """
    if config.data.fold is not None:
        return f"it would train on the images that data.fold {config.data.fold} holds out"
    if images < LEAST_IMAGES:
        return f"{images} training images are too few to show anything (fewer than {LEAST_IMAGES})"
    if world_size() > 1:
        return "several processes train together; run it before, with advise --try"
    return None


def short_epochs(epochs: int) -> int:
    """Return how many epochs a race takes, given those with moving stages in the full training."""
    return min(epochs, max(_LEAST_EPOCHS, math.ceil(EPOCHS * epochs)))


def work_of(plan: Plan, *, short: bool = False) -> float:
    """Work of a training per image, in forward passes of the whole network.

    An epoch takes one pass forward, and twice that back through the moving stages; all epochs of a head alone take one
    pass together, as features are computed once.

    Args:
        plan: The plan.
        short: As in a race.
    """
    work = 0.0
    for phase in plan.phases:
        share = 1 - phase.frozen / len(phase.multipliers)
        epochs = short_epochs(phase.epochs) if short else phase.epochs
        work += epochs * (1 + 2 * share) if share else 1.0
    return work


@dataclass(frozen=True)
class Entry:
    """A preset that enters a race, with the config's network or another one.

    Attributes:
        preset: Its name.
        expected: Its expected loss compared with the best preset; 0 if unknown.
        config: The job with this preset.
        plan: Its plan.
        network: Name of the network, if the entries have different ones.
        cost: Work of a forward pass of its network, in any unit that all entries share.
    """

    preset: str
    expected: float
    config: Config
    plan: Plan
    network: str = ""
    cost: float = 1.0

    @property
    def title(self) -> str:
        """Title in the race: the preset, after the network if there are several."""
        return f"{self.network}: {self.preset}" if self.network else self.preset

    @property
    def stem(self) -> str:
        """Beginning of its runs' names."""
        return self.title.replace(": ", "-").replace("/", "-")

    @property
    def runner(self) -> Runner:
        """The entry as the race sees it."""
        short, full = work_of(self.plan, short=True), work_of(self.plan)
        return Runner(self.title, self.expected, self.cost * short, self.cost * full, moves_stages(self.plan))


def race_presets(
    entries: Sequence[Entry],
    config: Config,
    images: ImageSet,
    budget: float | None,
    prior_error: float = PRIOR_ERROR,
) -> RaceResult:
    """Race presets, or networks with a preset each, against each other on folds of the training images.

    Args:
        entries: The presets, the rule's choice first; their titles differ.
        config: The job; the race's folder is ``output_dir/<name>-race``. An interrupted race goes on.
        images: The training images.
        budget: Seconds; None: about what training with the rule's choice will take.
        prior_error: How far the expected losses may be off.

    Raises:
        Interrupted: Ctrl-C or SIGTERM was received; the same command goes on.
        ToolkitError: A preset cannot be trained, or the budget is too small.
    """
    task = TASKS[config.task]
    objective = make_objective(config.task, scale=task.scale_of(images.labels) if task.predicts_numbers else None)
    folder, digest = config.output_dir.expanduser() / f"{config.name}-race", images.fingerprint()
    by_title = {entry.title: entry for entry in entries}
    with clear_os_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
    info(f"racing {', '.join(by_title)} on {FOLDS} folds of {len(images)} training images, in {folder}")

    def lap(runner: Runner, fold: int) -> Lap:
        entry = by_title[runner.title]
        return _run_lap(lap_config(entry.config, entry.plan, fold, folder, entry.stem), digest)

    try:
        return run_race([entry.runner for entry in entries], lap, objective, budget, prior_error=prior_error)
    except Interrupted:
        raise Interrupted("stopped in the race", hint="repeat the same command to continue") from None


def _run_lap(config: Config, digest: str) -> Lap:
    """Train a config of ``lap_config``; a finished one on the same images is read, an interrupted one goes on."""
    for folder in runs_of(config):
        path = folder.path / _FILE
        if path.is_file():
            with np.load(path) as kept:
                if str(kept["images"]) == digest:
                    return Lap(kept["outputs"], kept["labels"], float(kept["seconds"]))
            shutil.rmtree(folder.path)  # of other images
    began = time.monotonic()
    with quietly():
        trainer = Trainer(prepare_job(config))
        result = trainer.fit(resume="auto")
        job = trainer.job
        outputs, labels = loader_outputs(job.network, FeatureSource(job).for_evaluation(job.data.val), config.train)
    seconds = time.monotonic() - began
    with clear_os_errors(str(result.folder.path)):
        np.savez(result.folder.path / _FILE, outputs=outputs, labels=labels, seconds=seconds, images=digest)
        shutil.rmtree(result.folder.best.parent)  # as large as the network, and not needed any more
    return Lap(outputs, labels, seconds)
