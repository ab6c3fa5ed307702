"""Evaluation: exact metrics over all samples of a set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.data import Batch
from toolkit.engine.job import Job
from toolkit.engine.objective import Objective

__all__ = ["evaluate", "evaluate_job", "predict_outputs"]


def predict_outputs(model: paddle.Model, batches: Iterable[Batch]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The network's outputs ``[N, C]`` and the labels of all batches, in their order."""
    outputs, labels = [], []
    for batch in batches:
        outputs.append(np.asarray(model.predict_batch([batch.inputs])[0]))
        labels.append(batch.labels)
    return np.concatenate(outputs), np.concatenate(labels)


def evaluate(model: paddle.Model, batches: Iterable[Batch], objective: Objective) -> dict[str, float]:
    """The task's metrics over all samples."""
    return objective.metrics(*predict_outputs(model, batches))


def evaluate_job(job: Job) -> dict[str, float | str | int]:
    """Evaluate a job's network on its test images, or on the validation images when there are none.

    Returns:
        The metrics, with ``split`` (``test`` or ``val``) and ``images`` (their number).
    """
    split, images = job.data.evaluation
    metrics = evaluate(paddle.Model(job.network), job.loader(images, training=False), job.objective)
    return {**metrics, "split": split, "images": len(images)}
