"""Evaluation under shift: paired errors, all tasks and channels, and the same numbers for any batch size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.config import make_config
from toolkit.core.errors import ConfigError
from toolkit.data import ArrayImages, Preprocessing
from toolkit.data.corruptions import CORRUPTIONS
from toolkit.engine import RunFolder
from toolkit.engine.learning.objective import make_objective
from toolkit.engine.runs.model_facts import ModelFacts
from toolkit.engine.runs.trained import TrainedRun
from toolkit.engine.shift import Shift, jackknife_error, leave_out, measure_shift
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo import create_network

LABELS: dict[TaskName, Any] = {
    "classification": np.arange(12) % 3,
    "multilabel": (np.arange(12)[:, None] % np.array([2, 3, 4]) == 0).astype(np.float32),
    "regression": np.random.default_rng(1).normal(size=(12, 3)).astype(np.float32),
}


def images_of(task: TaskName, channels: int = 3) -> ArrayImages:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 40, 36, channels), dtype=np.uint8)
    return ArrayImages(pixels, LABELS[task], "noise").with_channels(channels)


def run_of(task: TaskName, channels: int = 3, **data: Any) -> TrainedRun:
    """A run with random weights."""
    sections = {"data": {"batch_size": 5, "workers": 1, **data}, "train": {"device": "cpu"}}
    config = make_config({"name": "run", "model": "squeezenet1_1", "task": task, **sections})
    network = create_network("squeezenet1_1", 3, image_size=32, in_channels=channels, task=task)
    preprocessing = Preprocessing(32, 0.875, (0.5,) * channels, (0.25,) * channels)
    facts = ModelFacts(task, ("a", "b", "c"), preprocessing, "horizontal")
    return TrainedRun(RunFolder(Path("run")), config, facts, network, make_objective(task))


@pytest.mark.parametrize(
    ("task", "channels"), [("classification", 3), ("classification", 1), ("multilabel", 4), ("regression", 3)]
)
def test_every_task_has_a_table_of_its_main_metric(task: TaskName, channels: int) -> None:
    run, images = run_of(task, channels), images_of(task, channels)
    shift = measure_shift(run, images, (1, 5))
    assert shift.metrics == run.evaluate(images)
    assert shift.clean == run.evaluate(images)[TASKS[task].main.name]
    assert [(loss.corruption, loss.severity) for loss in shift.losses] == [
        (corruption.name, severity) for corruption in CORRUPTIONS for severity in (1, 5)
    ]
    for loss in shift.losses:
        assert loss.lost == pytest.approx(shift.clean - loss.value)
        assert loss.error is not None
        assert loss.error >= 0
    assert shift.mean.value == pytest.approx(np.mean([loss.value for loss in shift.losses]))
    assert [loss.severity for loss in shift.means] == [1, 5]
    assert shift.passes == 1 + 7 * 2
    assert Shift.from_json(shift.to_json()) == replace(shift, metrics=dict(shift.metrics))
    assert Shift.from_json({**shift.to_json(), "format": 0}) is None


def test_batches_and_threads_do_not_matter() -> None:
    run, images = run_of("regression"), images_of("regression")
    other = run_of("regression", batch_size=12, workers=0)
    other = TrainedRun(other.folder, other.config, run.facts, run.network, run.objective)
    one, two = (measure_shift(each, images, (3,)) for each in (run, other))
    np.testing.assert_allclose([a.value for a in one.losses], [b.value for b in two.losses], rtol=1e-5)


def test_views_are_corrupted_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    run, images = run_of("regression"), images_of("regression")
    shift = measure_shift(run, images, (2,), tta=2)
    assert shift.metrics == run.evaluate(images, 2)
    assert shift.passes == 16
    said = " ".join(capsys.readouterr().err.split())
    assert "7 corruptions at severities 2, and the images as they are: 16 passes over 12 images in 2 views" in said


def test_the_error_is_that_of_paired_differences() -> None:
    random, task = np.random.default_rng(0), TASKS["classification"]
    labels = random.integers(0, 3, 200)
    clean, corrupted = (random.normal(size=(200, 3)) + np.eye(3)[labels] for _ in range(2))
    paired = (clean.argmax(1) == labels).astype(float) - (corrupted.argmax(1) == labels)
    lost = leave_out(task, clean, labels) - leave_out(task, corrupted, labels)
    assert jackknife_error(lost) == pytest.approx(paired.std(ddof=1) / np.sqrt(200))


def test_the_error_of_r2_is_about_that_of_a_bootstrap() -> None:
    random, task = np.random.default_rng(0), TASKS["regression"]
    targets = random.normal(size=(300, 1))
    clean, corrupted = targets + 0.3 * random.normal(size=(300, 1)), targets + 0.6 * random.normal(size=(300, 1))
    lost = leave_out(task, clean, targets) - leave_out(task, corrupted, targets)
    drawn = [random.integers(0, 300, 300) for _ in range(300)]
    r2 = [[task.measure(outputs[rows], targets[rows])["r2"] for rows in drawn] for outputs in (clean, corrupted)]
    assert len(lost) == 20
    assert jackknife_error(lost) == pytest.approx(np.std(np.subtract(*r2)), rel=0.5)


def test_a_single_image_has_no_error() -> None:
    shift = measure_shift(run_of("classification"), images_of("classification").take([4]), (1,))
    assert shift.mean.error is None


@pytest.mark.parametrize("severities", [(), (0,), (1, 6)])
def test_only_severities_that_exist(severities: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected some of 1 to 5"):
        measure_shift(run_of("classification"), images_of("classification"), severities)
