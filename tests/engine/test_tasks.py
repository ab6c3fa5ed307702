"""Multilabel training, and regression."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest
from sklearn.datasets import load_digits

from tests.engine.run_helpers import lines_of
from toolkit.config import Config
from toolkit.core.errors import ConfigError
from toolkit.engine import Trainer, build_job, evaluate_job
from toolkit.engine.learning.objective import ClassificationObjective, make_objective
from toolkit.tasks import TASKS

Make = Callable[..., Config]


def write_digits(folder: Path, columns: Sequence[str], values: Callable[[int], list[Any]], count: int = 120) -> Path:
    """Write images of real digits and a table of their labels."""
    digits = load_digits()
    rows = []
    for index in range(count):
        name = f"{index:04d}.png"
        cv2.imwrite(str(folder / name), np.round(digits.images[index] * 15.9).astype(np.uint8))
        rows.append([name, *values(int(digits.target[index]))])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["image", *columns], *rows])
    return folder


@pytest.fixture
def labels_set(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "labels").mkdir()
    folder = write_digits(tmp_path / "labels", ["even", "round"], lambda d: [int(d % 2 == 0), int(d in (0, 6, 8, 9))])
    return {"format": "csv", "root": str(folder), "classes": None, "samples_per_class": None, "batch_size": 16}


@pytest.fixture
def numbers_set(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "numbers").mkdir()
    folder = write_digits(tmp_path / "numbers", ["digit", "thousands"], lambda d: [d, 1000 * d], count=300)
    return {"format": "csv", "root": str(folder), "classes": None, "samples_per_class": None, "batch_size": 16}


def test_multilabel_training_learns_and_is_evaluated(make: Make, labels_set: dict[str, Any]) -> None:
    config = make(
        task="multilabel",
        data=labels_set,
        model={"pretrained": False},
        transfer={"preset": "scratch"},
        train={"epochs": 6, "lr": 0.003},
    )
    result = Trainer.from_config(config).fit()
    assert set(result.best) == {"map", "macro_f1", "micro_f1", "loss", "epoch"}
    share = build_job(config).data.val.labels.mean(axis=0).mean()
    assert result.best["map"] > share + 0.15
    again = evaluate_job(build_job(config, weights=result.folder.best))
    assert again["map"] == pytest.approx(result.best["map"], abs=1e-6)
    assert set(lines_of(result.folder)[0]["train"]) == {"loss", "lr"}
    assert result.folder.read_record()["data"]["task"] == "multilabel"


def test_regression_predicts_in_the_targets_units(make: Make, numbers_set: dict[str, Any]) -> None:
    config = make(
        task="regression",
        data={**numbers_set, "image_size": 28},
        model={"name": "lenet", "pretrained": False},
        transfer={"preset": "scratch"},
        train={"epochs": 15, "lr": 0.003},
    )
    trainer = Trainer.from_config(config)
    result = trainer.fit()
    assert set(result.best) == {"r2", "mae", "mse", "loss", "epoch"}
    assert result.best["r2"] > 0.2
    job = build_job(config, weights=result.folder.best)
    outputs = paddle.Model(job.network).predict_batch([next(iter(job.loader(job.data.val, training=False))).inputs])[0]
    assert abs(float(np.mean(outputs[:, 1])) - 4500) < 2000
    assert np.corrcoef(outputs[:, 0], outputs[:, 1])[0, 1] > 0.8
    assert evaluate_job(job)["mae"] == pytest.approx(result.best["mae"], rel=1e-5)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_cached_and_uncached_heads_agree(make: Make, task: str, request: pytest.FixtureRequest) -> None:
    data = request.getfixturevalue("labels_set" if task == "multilabel" else "numbers_set")
    results = [Trainer.from_config(make(task=task, data=data, cache={"enabled": on})).fit() for on in (False, True)]
    for name, value in results[0].last.items():
        assert results[1].last[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name


def test_monitors_of_another_task_are_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"val/top1 is not a metric of regression; known: val/r2"):
        make(task="regression", callbacks={"checkpoint": {"monitor": "val/top1"}})
    with pytest.raises(ConfigError, match="label_smoothing is for classification"):
        make(task="multilabel", train={"label_smoothing": 0.1})
    with pytest.raises(ConfigError, match="cosine"):
        make(task="regression", model={"head": "cosine"})


def test_auxiliary_losses_are_added_with_their_weights() -> None:
    paddle.seed(0)
    outputs, labels = [paddle.randn([4, 3]) for _ in range(3)], paddle.to_tensor([0, 2, 1, 0])
    plain = ClassificationObjective()
    losses = [float(plain(output, labels).item()) for output in outputs]
    both = ClassificationObjective(lambda: (0.3, 0.3))
    assert float(both(*outputs, labels).item()) == pytest.approx(
        losses[0] + 0.3 * losses[1] + 0.3 * losses[2], rel=1e-5
    )
    assert float(both(outputs[0], labels).item()) == pytest.approx(losses[0], rel=1e-5)
    accuracy = both.running()[0]
    assert accuracy.compute(*outputs, labels).shape == [4, 1]


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_has_an_objective(task: Any) -> None:
    objective = make_objective(task)
    outputs = np.random.default_rng(0).normal(size=(8, 2)).astype("float32")
    labels = np.array([0, 1] * 4) if task == "classification" else np.abs(outputs).round().clip(0, 1)
    assert list(objective.metrics(outputs, labels)) == [metric.name for metric in TASKS[task].metrics]
    loss = objective(paddle.to_tensor(outputs), paddle.to_tensor(labels))
    assert float(loss.item()) == pytest.approx(objective.metrics(outputs, labels)["loss"], rel=1e-4)


def test_googlenet_trains_with_its_auxiliary_losses(make: Make) -> None:
    config = make(
        model={"name": "googlenet", "pretrained": False},
        data={"image_size": 224, "samples_per_class": 2},
        transfer={"preset": "scratch"},
        train={"epochs": 1},
    )
    trainer = Trainer.from_config(config)
    assert trainer.job.network.auxiliary_weights == (0.3, 0.3)
    result = trainer.fit()
    assert np.isfinite(result.last["loss"])
