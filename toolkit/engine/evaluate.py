"""Evaluation: exact metrics over all samples of a set."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.data import Batch
from toolkit.engine.job import Job
from toolkit.engine.metrics import classification_metrics

__all__ = ["evaluate", "evaluate_job", "predict_logits"]


def predict_logits(model: paddle.Model, batches: Iterable[Batch]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits ``[N, C]`` and labels ``[N]`` of all batches, in their order."""
    logits, labels = [], []
    for batch in batches:
        logits.append(np.asarray(model.predict_batch([batch.inputs])[0]))
        labels.append(batch.labels)
    return np.concatenate(logits), np.concatenate(labels)


def evaluate(model: paddle.Model, batches: Iterable[Batch]) -> dict[str, float]:
    """``loss, top1, top5, macro_f1`` over all samples (see ``classification_metrics``)."""
    return classification_metrics(*predict_logits(model, batches))


def evaluate_job(job: Job) -> dict[str, float | str | int]:
    """Evaluate a job's network on its test images, or on the validation images when there are none.

    Returns:
        The metrics, with ``split`` (``test`` or ``val``) and ``images`` (their number).
    """
    split, images = job.data.evaluation
    metrics = evaluate(paddle.Model(job.network), job.loader(images, training=False))
    return {**metrics, "split": split, "images": len(images)}
