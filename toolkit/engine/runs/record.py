"""The content of ``run.json``: versions, machine, data, plan and results."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.callbacks import Checkpoint
from toolkit.core.console import info
from toolkit.core.errors import TrainingError
from toolkit.core.newer import FORMAT
from toolkit.core.runtime import versions
from toolkit.data import FileImages
from toolkit.data.signature import split_signatures
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.job import Job
from toolkit.engine.learning.uncertainty import certainty_of
from toolkit.engine.runs.checkpoints import best_is_intact
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.model_facts import ModelFacts
from toolkit.engine.runs.result import RunResult
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo import read_weights

_MOST_EXAMPLES = 64


def describe_run(job: Job, state: TrainingState, earlier: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the record known before training.

    Args:
        job: The job.
        state: State at which the run starts or resumes.
        earlier: The existing record of a resumed run, which keeps its start; otherwise empty.
    """
    return {
        "format": FORMAT,
        "name": job.config.name,
        "started": earlier.get("started") or now(),
        "resumed": [*earlier.get("resumed", ()), *([{"at": now(), "after_epoch": state.epoch}] if earlier else [])],
        "finished": None,
        "seed": job.config.seed,
        "device": job.device,
        "versions": versions(),
        "git_revision": _git_revision(),
        "network": {
            "name": job.config.model.name,
            "weights": job.weights,
            "in_channels": job.network.in_channels,
            "image_size": job.preprocessing.image_size,
            "stages": [asdict(stage) for stage in job.stages],
        },
        "model": model_facts(job).to_dict(),
        "data": {
            "fingerprint": job.data.fingerprint(),
            "signatures": split_signatures(job.data.splits, job.config.data.root),
            "task": job.data.task,
            "classes": list(job.data.classes),
            "images": job.data.counts(),
            "sizes": {part: len(images) for part, images in job.data.splits.items()},
            "examples": _examples(job),
        },
        "plan": asdict(job.plan),
        **({} if job.lr_search is None else {"lr_search": dict(job.lr_search)}),
        **({} if job.advice is None else {"advice": dict(job.advice)}),
        **({"by_hand": list(job.by_hand)} if job.by_hand else {}),
        **({} if state.solved is None else {"solver": state.solved}),
        "ancestry": list(job.ancestry),
    }


def model_facts(job: Job) -> ModelFacts:
    """The facts of a job's network, for later users of its weights."""
    read = tuple(job.stages[index].name for index in job.network.taps)
    return ModelFacts(job.data.task, job.data.classes, job.preprocessing, job.data.flip, job.plan.cut, read)


def _examples(job: Job) -> list[str]:
    """Some evaluation images from across the set, to check an export on later; empty if they are not files."""
    images = job.data.evaluation[1]
    if not isinstance(images, FileImages):
        return []
    rows = np.linspace(0, len(images) - 1, min(_MOST_EXAMPLES, len(images))).astype(int)
    paths = [str(Path(images.path(int(row))).absolute()) for row in rows]
    return [path for path in paths if path.isprintable()]  # JSON cannot hold a name that is not UTF-8


def finish_record(record: dict[str, Any], state: TrainingState, result: RunResult) -> dict[str, Any]:
    """The record completed with the results."""
    proofs = {"frozen_check": state.proof, "trained_proof": state.trained}
    return {**record, "finished": now(), **proofs, "result": result.to_json()}


def make_result(job: Job, folder: RunFolder, state: TrainingState, checkpoint: Checkpoint) -> RunResult:
    """Load the best epoch's weights into the network, and compute missing measurements.

    Args:
        job: The run's job.
        folder: The run's folder.
        state: The final state.
        checkpoint: The callback that chose the best epoch.
    """
    job.network.set_frozen(job.plan.phases[-1].frozen)
    total, trainable = sum(stage.parameters for stage in job.stages) + job.head_parameters, job.trainable_parameters
    job.network.set_state_dict(read_weights(folder.best))
    test = outputs = None
    if job.data.test:
        batches = FeatureSource(job).for_evaluation(job.data.test)
        outputs, labels = loader_outputs(job.network, batches, job.config.train)
        test = job.objective.metrics(outputs, labels)
    return RunResult(
        folder=folder,
        best=state.best or {},
        last=state.last or {},
        test=test,
        seconds=state.seconds,
        parameters={"total": total, "trainable": trainable, "frozen": total - trainable},
        test_outputs=outputs,
        certainty=certainty_of(checkpoint, job.plan, len(job.data.val), state.epoch),
    )


def recorded_result(job: Job, folder: RunFolder) -> RunResult:
    """The result of a finished run, read from its record; loads the best epoch's weights into the network.

    Raises:
        TrainingError: The weights are damaged.
    """
    if not best_is_intact(folder):
        raise TrainingError(f"{folder.best} is damaged", hint="restore it from a copy, or train again")
    info(f"{folder.path} is finished: nothing to train (more epochs: -o train.epochs=N)")
    job.network.set_frozen(job.plan.phases[-1].frozen)
    job.network.set_state_dict(read_weights(folder.best))
    known = folder.read_record()["result"]
    return RunResult(
        folder=folder,
        best=known["best"],
        last=known["last"],
        test=known.get("test"),
        seconds=known["seconds"],
        parameters=known["parameters"],
        certainty=known.get("certainty"),
    )


def now() -> str:
    """The current time in the format of records (UTC, ISO 8601)."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git_revision() -> str | None:
    """Revision of the toolkit's checkout, with ``+`` if it has uncommitted changes; None outside a checkout."""
    git, here = shutil.which("git"), Path(__file__).resolve().parent
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        done = subprocess.run([git, "-C", str(here), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "--short=12", "HEAD")
    return f"{revision}{'+' if ask('status', '--porcelain') else ''}" if revision else None
