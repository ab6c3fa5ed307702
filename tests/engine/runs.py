"""What a run has left behind."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle

from toolkit.config import make_config
from toolkit.engine import RunFolder, Trainer, TrainingState


@dataclass(frozen=True)
class Run:
    """An array over the epochs a number, and outputs for the validation images."""

    train: np.ndarray
    val: np.ndarray
    top1: np.ndarray
    outputs: np.ndarray


def train_and_predict(values: dict[str, Any]) -> Run:
    """Train as a config's values say; the run's folder is thrown away."""
    trainer = Trainer.from_config(make_config(values))
    folder = trainer.fit().folder
    lines = lines_of(folder)
    shutil.rmtree(folder.path)  # checkpoints
    job = trainer.job
    job.network.eval()
    with paddle.no_grad():
        batches = job.loader(job.data.val, training=False)
        outputs = np.concatenate([job.network(paddle.to_tensor(batch.inputs)).numpy() for batch in batches])
    rows = [[line["train"]["loss"], line["val"]["loss"], line["val"]["top1"]] for line in lines]
    return Run(*np.array(rows).T, outputs)


def weights_of(folder: RunFolder) -> dict[str, np.ndarray]:
    return TrainingState.load(folder.last).weights


def lines_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Of ``metrics.jsonl``."""
    return [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
