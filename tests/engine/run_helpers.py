"""Reads the results of runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from toolkit.config import make_config
from toolkit.engine import Job, RunFolder, Trainer, TrainingState
from toolkit.engine.features.loaders import FeatureLoader
from toolkit.engine.features.source import FeatureSource


@dataclass(frozen=True)
class Run:
    """One array over the epochs per metric, and the outputs for the validation images."""

    train: np.ndarray
    val: np.ndarray
    top1: np.ndarray
    outputs: np.ndarray


def train_and_predict(values: dict[str, Any]) -> Run:
    """Train with a config's values, and delete the run's folder."""
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
    """Parse ``metrics.jsonl``."""
    return [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]


def features_of(job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The head's inputs and labels, of the training images and of the validation images."""
    inputs = FeatureSource(job).for_phase(job.plan.phases[0])
    found: list[np.ndarray] = []
    for part in (inputs.training, inputs.validation):
        assert isinstance(part, FeatureLoader)
        found += [np.asarray(part.views[0][np.arange(len(part.labels))], np.float32), part.labels]
    return found[0], found[1], found[2], found[3]


def logistic_regression(x: np.ndarray, y: np.ndarray) -> Pipeline:
    """Fit scikit-learn's on standardised features, with the best C in five-fold cross-validation."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": np.logspace(-5, 1, 7)}
    return GridSearchCV(model, grid, cv=5, scoring="neg_log_loss").fit(x, y).best_estimator_
