"""Evaluation: exact metrics over all samples of a set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.config import TrainConfig
from toolkit.data import Batch, Preprocessing
from toolkit.data.augmentation import Flip
from toolkit.data.loading import Loader
from toolkit.data.views import views_of
from toolkit.engine.job import Job
from toolkit.engine.learning.distributed import all_rows
from toolkit.engine.learning.fast_convolutions import fast_layers
from toolkit.engine.learning.objective import Objective
from toolkit.engine.learning.precision import autocast
from toolkit.engine.learning.tta import mean_outputs
from toolkit.kernels import fast_convolutions
from toolkit.zoo import StagedNetwork


def predict_outputs(
    network: StagedNetwork, batches: Iterable[Batch], train: TrainConfig | None = None, *, shared: bool = False
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The network's outputs ``[N, C]`` and the labels of all batches.

    Args:
        network: The network, left in evaluation mode.
        batches: In any order.
        train: Sets the precision; by default single.
        shared: Whether each process has other batches: all get all outputs, each sample once, ordered by position.
    """
    outputs, labels, positions = [], [], []
    network.eval()
    train = train or TrainConfig()
    with paddle.no_grad(), autocast(train), fast_convolutions(fast_layers(network, train)):
        for batch in batches:
            outputs.append(network(paddle.to_tensor(batch.inputs)).astype("float32").numpy())
            labels.append(batch.labels)
            positions.append(batch.indices)
    if not shared:
        return np.concatenate(outputs), np.concatenate(labels)
    gathered = [all_rows(np.concatenate(arrays)) for arrays in (outputs, labels, positions)]
    _, order = np.unique(gathered[2], return_index=True)
    return gathered[0][order], gathered[1][order]


def loader_outputs(
    network: StagedNetwork, loader: Loader, train: TrainConfig
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """The network's outputs ``[N, C]`` and the labels of all batches, which enter it at their ``start_stage``.

    Args:
        network: The network, left in evaluation mode.
        loader: Images or features.
        train: Sets the precision.
    """
    with network.starting_at(loader.start_stage):
        return predict_outputs(network, loader, train)


def evaluate(
    network: StagedNetwork,
    batches: Iterable[Batch],
    objective: Objective,
    train: TrainConfig | None = None,
    *,
    shared: bool = False,
) -> dict[str, float]:
    """The task's metrics over all samples; arguments as for ``predict_outputs``."""
    return objective.metrics(*predict_outputs(network, batches, train, shared=shared))


def evaluate_job(job: Job, tta: int = 1) -> dict[str, float | str | int]:
    """Evaluate a job's network on its test images, or on the validation images if there are none.

    Args:
        job: A job with trained weights.
        tta: Views of each image whose outputs are averaged (see ``toolkit.data.views``).

    Returns:
        The metrics, with ``split`` (``test`` or ``val``), ``images`` (their number) and, if more than one, ``views``.
    """
    split, images = job.data.evaluation

    def batches(view: Preprocessing) -> Iterable[Batch]:
        return replace(job, preprocessing=view, image_cache=None).loader(images, training=False)

    views = evaluation_views(job.preprocessing, job.data.flip, tta)
    outputs = outputs_of_views(job.network, job.objective, [batches(view) for view in views], job.config.train)
    metrics = job.objective.metrics(outputs, images.labels)
    return {**metrics, "split": split, "images": len(images), **({"views": tta} if tta > 1 else {})}


def evaluation_views(preprocessing: Preprocessing, flip: Flip, tta: int) -> tuple[Preprocessing, ...]:
    """The views of an image in an evaluation: the centre crop alone, or ``tta`` views (``toolkit.data.views``)."""
    return views_of(preprocessing, flip, tta) if tta > 1 else (preprocessing,)


def outputs_of_views(
    network: StagedNetwork, objective: Objective, views: Sequence[Iterable[Batch]], train: TrainConfig
) -> NDArray[np.float32]:
    """The network's outputs ``[N, C]`` for a set of images, averaged over their views.

    Args:
        network: The network, left in evaluation mode.
        objective: Determines what is averaged: the task's activations.
        views: All batches of each view, in order; at least one view.
        train: Sets the precision.
    """
    outputs = [predict_outputs(network, batches, train)[0] for batches in views]
    return mean_outputs(outputs, objective.task.activation)
