"""What ``run.json`` says: versions, machine, data, plan, and what came out."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from toolkit.callbacks import Checkpoint
from toolkit.engine.certainty import certainty_of
from toolkit.engine.evaluate import predict_outputs
from toolkit.engine.inputs import evaluation_batches
from toolkit.engine.job import Job
from toolkit.engine.result import RunResult
from toolkit.engine.run_folder import RunFolder
from toolkit.engine.state import TrainingState
from toolkit.runtime import versions
from toolkit.zoo import read_weights

__all__ = ["describe_run", "finish_record", "make_result"]


def describe_run(job: Job, state: TrainingState) -> dict[str, Any]:
    """What is known before training."""
    return {
        "name": job.config.name,
        "started": _now(),
        "resumed_after_epoch": state.epoch or None,
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
        "data": {
            "fingerprint": job.data.fingerprint(),
            "task": job.data.task,
            "classes": list(job.data.classes),
            "images": job.data.counts(),
            "sizes": {part: len(images) for part, images in job.data.parts.items()},
        },
        "plan": asdict(job.plan),
        **({} if job.lr_search is None else {"lr_search": dict(job.lr_search)}),
        **({} if job.advice is None else {"advice": dict(job.advice)}),
        **({} if state.solved is None else {"solver": state.solved}),
        "ancestry": list(job.ancestry),
    }


def finish_record(record: dict[str, Any], state: TrainingState, result: RunResult) -> dict[str, Any]:
    """The record with what came out."""
    return {**record, "finished": _now(), "frozen_proof": state.proof, "result": result.to_json()}


def make_result(job: Job, folder: RunFolder, state: TrainingState, checkpoint: Checkpoint) -> RunResult:
    """Put the best epoch's weights into the network, and measure what the run has not measured yet.

    Args:
        job: The run's job.
        folder: Its folder.
        state: Where it ended.
        checkpoint: Has chosen the best epoch.
    """
    frozen = sum(stage.parameters for stage in job.stages[: job.network.frozen])
    total = sum(stage.parameters for stage in job.stages) + job.head_parameters
    job.network.set_state_dict(read_weights(folder.best))
    test = outputs = None
    if job.data.test:
        with evaluation_batches(job, job.data.test) as batches:
            outputs, labels = predict_outputs(job.network, batches, job.config.train)
        test = job.objective.metrics(outputs, labels)
    return RunResult(
        folder=folder,
        best=state.best or {},
        last=state.last or {},
        test=test,
        seconds=state.seconds,
        parameters={"total": total, "trainable": total - frozen, "frozen": frozen},
        test_outputs=outputs,
        certainty=certainty_of(checkpoint, job.plan, len(job.data.val), state.epoch),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _git_revision() -> str | None:
    """Revision of the toolkit's checkout, with ``+`` when it has uncommitted changes; None outside of one."""
    git, here = shutil.which("git"), Path(__file__).resolve().parent
    if git is None:
        return None

    def ask(*words: str) -> str | None:
        done = subprocess.run([git, "-C", str(here), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    revision = ask("rev-parse", "--short=12", "HEAD")
    return f"{revision}{'+' if ask('status', '--porcelain') else ''}" if revision else None
