"""What every task must say of itself, and the list of monitors that follows from it."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from toolkit.config.callbacks import MonitorName
from toolkit.tasks import METRICS, MONITORS, TASKS, Task, TaskName, better_of, monitors_of

NAMES = ("a", "b", "c")
RNG = np.random.default_rng(0)
LABELS: dict[str, Any] = {
    "classification": np.arange(12) % 3,
    "multilabel": (RNG.random((12, 3)) < 0.5).astype(np.float32),
    "regression": RNG.normal(size=(12, 3)).astype(np.float32),
}


@pytest.fixture(params=list(TASKS))
def task(request: pytest.FixtureRequest) -> Task:
    found: Task = TASKS[request.param]
    return found


def test_every_name_has_a_task() -> None:
    assert set(get_args(TaskName)) == {task.name for task in TASKS.values()} == set(TASKS)


def test_facts_agree(task: Task) -> None:
    assert not (task.one_class_per_image and task.labels_are_rows)
    assert bool(task.row_example) == task.labels_are_rows
    assert not (task.predicts_numbers and task.takes_threshold)
    assert set(task.training) <= {metric.name for metric in task.metrics}
    assert all(METRICS[metric.name] == metric for metric in task.metrics)


def test_outputs_are_measured_and_said(task: Task) -> None:
    labels, outputs = LABELS[task.name], RNG.normal(size=(12, 3))
    assert list(task.measure(outputs, labels)) == [metric.name for metric in task.metrics]
    assert task.decide(outputs).shape == labels.shape
    wrong, certainty = task.mistakes(outputs, labels)
    assert wrong.shape == certainty.shape == (12,)
    assert len(task.words(task.decide(outputs), NAMES)) == 12


def test_images_are_counted_grouped_and_voted_on(task: Task) -> None:
    labels = LABELS[task.name]
    assert task.counts(labels, 3).shape == (3,)
    assert sorted(np.concatenate(task.groups(labels)).tolist()) == list(range(12))
    assert set(task.held_out_order(labels, RNG.permutation(12)).tolist()) == set(range(12))
    assert task.strata(labels).shape == (12,)
    assert task.columns(labels).shape == (12, 3)
    assert task.vote(labels, np.array([[0, 1], [2, 3]]), np.full((2, 2), 0.5), 3).shape == (2, 3)
    assert task.chance(labels) <= 1
    assert task.comparable(labels).tolist() == list(range(12))


def test_a_class_of_one_image_is_never_held_out_nor_compared() -> None:
    labels, task = np.array([0, 1, 1, 2, 2]), TASKS["classification"]
    assert 0 not in task.held_out_order(labels, np.arange(5))
    assert task.comparable(labels).tolist() == [1, 2, 3, 4]
    assert task.renumbered(labels[1:]).tolist() == [0, 0, 1, 1]
    assert not len(task.held_out_order(np.zeros(5, int), np.arange(5)))


def test_images_without_any_label_are_counted() -> None:
    rows = np.array([[0, 1], [0, 0], [0, 0]], np.float32)
    assert [task.unlabelled(rows) for task in TASKS.values()] == [0, 2, 0]


def test_there_is_one_list_of_monitors() -> None:
    assert get_args(MonitorName) == MONITORS
    one = monitors_of([TASKS["multilabel"]], averages=False)
    assert one == ("val/map", "val/macro_f1", "val/micro_f1", "val/loss", "train/loss")
    assert [better_of(name) for name in ("val/avg_loss", "train/top1", "val/mae", "mine")] == [
        "min",
        "max",
        "min",
        "max",
    ]
