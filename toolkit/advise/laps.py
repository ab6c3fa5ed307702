"""Short trainings for a race: on folds of the training images, with features shared by all of them."""

from __future__ import annotations

import math
import shutil
import time
from pathlib import Path

import numpy as np

from toolkit.advise.race import EPOCHS, FOLDS, Lap
from toolkit.config import Config, make_config
from toolkit.core.console import quietly
from toolkit.core.files import clear_os_errors
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.transfer import Plan

_LEAST_EPOCHS = 3
_FILE = "lap.npz"


def lap_config(config: Config, plan: Plan, fold: int, folder: Path) -> Config:
    """Return the config of one short training.

    Args:
        config: The job with the preset to train.
        plan: Its plan.
        fold: Index of the fold to hold out.
        folder: Folder for the run.
    """
    values = config.model_dump()
    moving = plan.phases[-1].frozen < len(plan.phases[-1].multipliers)
    if moving and not config.transfer.phases:
        first = sum(phase.epochs for phase in plan.phases if phase.frozen == len(phase.multipliers))
        values["transfer"] |= {"head_first": first}
        values["train"] |= {"epochs": short_epochs(plan.epochs - first)}
    values["data"] |= {"fold": f"{fold + 1}/{FOLDS}"}
    values |= {
        "name": f"{plan.title.replace('/', '-')}-fold{fold + 1}",
        "output_dir": folder,
        "log": {**values["log"], "visualdl": False, "sample_images": 0},
        "export": {"enabled": False, "report": False},
    }
    return make_config(values)


def short_epochs(epochs: int) -> int:
    """Epochs with moving stages in a race, of so many in the full training."""
    return min(epochs, max(_LEAST_EPOCHS, math.ceil(EPOCHS * epochs)))


def work_of(plan: Plan, epochs: int | None = None) -> float:
    """Work of a training per image, in forward passes of the whole network.

    An epoch takes one pass forward, and twice that back through the moving stages; all epochs of a head alone take one
    pass together, as features are computed once.

    Args:
        plan: The plan.
        epochs: Epochs with moving stages, if other than the plan's.
    """
    work = 0.0
    for phase in plan.phases:
        share = 1 - phase.frozen / len(phase.multipliers)
        work += (epochs or phase.epochs) * (1 + 2 * share) if share else 1.0
    return work


def run_lap(config: Config) -> Lap:
    """Train a config of ``lap_config``; a finished one is read, an interrupted one goes on.

    Raises:
        Interrupted: Ctrl-C or SIGTERM was received; the lap goes on when the race is run again.
        ToolkitError: See ``Trainer.fit``.
    """
    folder = RunFolder(config.output_dir / config.name)
    path = folder.path / _FILE
    if path.is_file() and not folder.differences(config):
        with np.load(path) as kept:
            return Lap(kept["outputs"], kept["labels"], float(kept["seconds"]))
    began = time.monotonic()
    with quietly():
        trainer = Trainer(build_job(config))
        result = trainer.fit(resume="auto")
        job = trainer.job
        outputs, labels = loader_outputs(job.network, FeatureSource(job).for_evaluation(job.data.val), config.train)
    seconds = time.monotonic() - began
    with clear_os_errors(str(path)):
        np.savez(result.folder.path / _FILE, outputs=outputs, labels=labels, seconds=seconds)
        shutil.rmtree(result.folder.best.parent)  # as large as the network, and not needed any more
    return Lap(outputs, labels, seconds)
