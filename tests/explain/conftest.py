"""Finished runs without training: noise images, a plan, records and known outputs."""

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
from toolkit.core.stages import StageInfo
from toolkit.data import ArrayImages, DataBundle, Preprocessing
from toolkit.engine import Job, RunFolder
from toolkit.engine.learning.objective import make_objective
from toolkit.transfer import resolve_plan
from toolkit.zoo import StagedNetwork


class FinishedRun(NamedTuple):
    job: Job
    folder: RunFolder
    outputs: NDArray[np.float32]
    labels: NDArray[Any]


def _images(labels: NDArray[Any], seed: int) -> ArrayImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 12, 16, 3), dtype=np.uint8)
    return ArrayImages(pixels, labels, "noise")


def _records(job: Job, folder: RunFolder) -> None:
    folder.path.mkdir(parents=True)
    task = job.objective.task
    metrics = {metric.name: 0.75 for metric in task.metrics} | {"loss": 0.5}
    train = dict.fromkeys(task.training, 0.5)
    names = [phase.name for phase in job.plan.phases for _ in range(phase.epochs)]
    for epoch, phase in enumerate(names, 1):
        folder.append_metrics(
            {"epoch": epoch, "phase": phase, "train": {"loss": 1 / epoch, **train}, "val": metrics, "seconds": 1.0}
        )
    proof = [{"phase": p.name, "frozen_stages": p.frozen, "arrays_checked": 7, "moved": []} for p in job.plan.phases]
    record = {
        "started": "2024-01-01T00:00:00+00:00",
        "finished": "2024-01-01T00:01:00+00:00",
        "git_revision": "abcdef012345",
        "versions": {"toolkit": "0.1.0", "paddle": "3.3.1", "python": "3.11.0", "cpu": {"threads": "2"}},
        "network": {"weights": "paddle"},
        "data": {"fingerprint": "f00d" * 16},
        "frozen_check": proof,
        "result": {
            "best": {**metrics, "epoch": 2},
            "seconds": 61.0,
            "parameters": {"total": 3500, "trainable": 500, "frozen": 3000},
        },
    }
    folder.record.write_text(json.dumps(record), encoding="utf-8")


def _run(
    folder: Path,
    labels: NDArray[Any],
    outputs: NDArray[np.float32],
    names: tuple[str, ...],
    test: bool,
    sections: dict[str, Any],
) -> FinishedRun:
    values = {
        "name": "run",
        "model": "resnet18",
        "transfer": {"preset": "linear_probe"},
        "train": {"epochs": 3},
        **sections,
    }
    config = make_config(values)
    parts = [_images(labels, seed) for seed in range(3 if test else 2)]
    data = DataBundle(parts[0], parts[1], parts[2] if test else None, names, task=config.task)
    stages = (StageInfo("stem", (8, 16, 16), 1000), StageInfo("layer1", (16, 8, 8), 2000))
    head = {"head.weight": SimpleNamespace(shape=[100, 5])}
    network = cast(StagedNetwork, SimpleNamespace(head_parameters=lambda: head))
    plan = resolve_plan(config.transfer, config.train, stages)
    preprocessing = Preprocessing(16, 1.0, (0.5,) * 3, (0.5,) * 3)
    scale = data.target_statistics()[1] if config.task == "regression" else np.ones(1)
    objective = make_objective(config.task, scale=np.where(scale > 0, scale, 1.0))
    job = Job(config, data, network, plan, stages, preprocessing, "cpu", "paddle", objective)
    run = FinishedRun(job, RunFolder(folder), outputs.astype(np.float32), labels)
    _records(job, run.folder)
    return run


@pytest.fixture
def rendered() -> None:
    """For tests that need images of the figures, see ``unrendered``."""


@pytest.fixture
def unrendered(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn but not rendered, which takes most of a report's time, unless a test uses ``rendered``."""
    if "rendered" not in request.fixturenames:
        monkeypatch.setattr("toolkit.pages.figures.Figure.savefig", lambda figure, buffer, **_: buffer.write(b"<svg/>"))


@pytest.fixture
def finished(tmp_path: Path) -> Callable[..., FinishedRun]:
    """``finished(classes, mistakes=2, test=False, **sections)``: evaluated on four images per class.

    The first ``mistakes`` images are predicted as the next class, with decreasing confidence.
    """

    def make(classes: tuple[str, ...], mistakes: int = 2, test: bool = False, **sections: Any) -> FinishedRun:
        labels = np.repeat(np.arange(len(classes)), 4)
        logits = np.zeros((len(labels), len(classes)), np.float32)
        logits[np.arange(len(labels)), labels] = 3.0
        for row in range(mistakes):
            logits[row] = np.roll(logits[row], 1) * (2 - row / len(labels))
        return _run(tmp_path / "runs" / "run", labels, logits, classes, test, sections)

    return make


@pytest.fixture
def multilabel(tmp_path: Path) -> Callable[..., FinishedRun]:
    """``multilabel(names, count=40, noise=2.0, test=False, **sections)``: every (k + 2)th image has label k.

    Logits are 3 for true labels and -3 for others, plus noise.
    """

    def make(
        names: tuple[str, ...], count: int = 40, noise: float = 2.0, test: bool = False, **sections: Any
    ) -> FinishedRun:
        labels = (np.arange(count)[:, None] % np.arange(2, len(names) + 2) == 0).astype(np.float32)
        logits = 6 * labels - 3 + noise * np.random.default_rng(0).normal(size=labels.shape)
        return _run(tmp_path / "runs" / "run", labels, logits, names, test, {"task": "multilabel", **sections})

    return make


@pytest.fixture
def regression(tmp_path: Path) -> Callable[..., FinishedRun]:
    """``regression(names, count=40, noise=0.5, test=False, **sections)``: target k has values around ``10 ** k``."""

    def make(
        names: tuple[str, ...], count: int = 40, noise: float = 0.5, test: bool = False, **sections: Any
    ) -> FinishedRun:
        generator = np.random.default_rng(0)
        unit = 10.0 ** np.arange(len(names))
        labels = ((generator.normal(size=(count, len(names))) + 3) * unit).astype(np.float32)
        values = labels + noise * unit * generator.normal(size=labels.shape)
        return _run(tmp_path / "runs" / "run", labels, values, names, test, {"task": "regression", **sections})

    return make
