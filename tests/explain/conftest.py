"""A finished run without a training: real pictures, a plan, records, and logits that are known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.config import make_config
from toolkit.data import ArrayImages, DataBundle, Preprocessing
from toolkit.engine import Job, RunFolder
from toolkit.stage import StageInfo
from toolkit.transfer import resolve_plan
from toolkit.zoo import StagedNetwork


class FinishedRun(NamedTuple):
    job: Job
    folder: RunFolder
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]


def _images(labels: NDArray[np.int64], seed: int) -> ArrayImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 12, 16, 3), dtype=np.uint8)
    return ArrayImages(pixels, labels, "noise")


def _records(job: Job, folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    metrics = {"loss": 0.5, "top1": 0.75, "top5": 1.0, "macro_f1": 0.7}
    names = [phase.name for phase in job.plan.phases for _ in range(phase.epochs)]
    for epoch, phase in enumerate(names, 1):
        folder.append_metrics(
            {"epoch": epoch, "phase": phase, "train": {"loss": 1 / epoch, "top1": 0.5}, "val": metrics, "seconds": 1.0}
        )
    proof = [{"phase": p.name, "frozen_stages": p.frozen, "arrays_checked": 7, "moved": []} for p in job.plan.phases]
    record = {
        "started": "2024-01-01T00:00:00+00:00",
        "finished": "2024-01-01T00:01:00+00:00",
        "git_revision": "abcdef012345",
        "versions": {"toolkit": "0.1.0", "paddle": "3.3.1", "python": "3.11.0", "cpu": {"threads": "2"}},
        "network": {"weights": "paddle"},
        "data": {"fingerprint": "f00d" * 16},
        "frozen_proof": proof,
        "result": {
            "best": {**metrics, "epoch": 2},
            "seconds": 61.0,
            "parameters": {"total": 3500, "trainable": 500, "frozen": 3000},
        },
    }
    folder.record.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., FinishedRun]:
    """``finished(classes, mistakes=2, test=False, **sections)``: evaluated on four images a class.

    The first ``mistakes`` images are taken for the class after their own, with less and less confidence.
    """

    def make(classes: tuple[str, ...], mistakes: int = 2, test: bool = False, **sections: Any) -> FinishedRun:
        values = {
            "name": "run",
            "model": "resnet18",
            "transfer": {"preset": "small_similar"},
            "train": {"epochs": 3},
            **sections,
        }
        config = make_config(values)
        labels = np.repeat(np.arange(len(classes)), 4)
        data = DataBundle(_images(labels, 0), _images(labels, 1), _images(labels, 2) if test else None, classes)
        stages = (StageInfo("stem", (8, 16, 16), 1000), StageInfo("layer1", (16, 8, 8), 2000))
        head = {"head.weight": SimpleNamespace(shape=[100, 5])}
        network = cast(StagedNetwork, SimpleNamespace(head_parameters=lambda: head))
        plan = resolve_plan(config.transfer, config.train, stages)
        preprocessing = Preprocessing(16, 1.0, (0.5,) * 3, (0.5,) * 3)
        job = Job(config, data, network, plan, stages, preprocessing, "cpu", "paddle")
        logits = np.zeros((len(labels), len(classes)), np.float32)
        logits[np.arange(len(labels)), labels] = 3.0
        for row in range(mistakes):
            logits[row] = np.roll(logits[row], 1) * (2 - row / len(labels))
        folder = RunFolder(tmp_path / "runs" / "run")
        _records(job, folder)
        return FinishedRun(job, folder, logits, labels)

    return make
