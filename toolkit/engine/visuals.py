"""Images and network results shown in VisualDL."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.callbacks import VisualDLLogger, stage_graph
from toolkit.core.runtime import is_main_process
from toolkit.data import ImageSet, as_rgb
from toolkit.engine.job import Job

_MOST_LOOKED_AT = 2000
"""Number of images searched for mistakes, spread over the set, to limit the time."""
_WIDEST = 4096
"""Features wider than this are averaged over the places of the map."""


@dataclass(frozen=True)
class _Seen:
    """Images with the network's features and outputs.

    Attributes:
        images: N images.
        features: Inputs of the head, ``[N, D]``.
        outputs: ``[N, C]``.
    """

    images: ImageSet
    features: NDArray[np.float32]
    outputs: NDArray[np.float32]


def show_graph(logger: VisualDLLogger, job: Job) -> None:
    """Show the network's stages."""
    size, config = job.preprocessing.image_size, job.config
    if config.log.graph:
        never_move = min(phase.frozen for phase in job.plan.phases)
        image = (job.preprocessing.channels, size, size)
        head = f"{config.model.head.type} head"
        logger.add_graph(stage_graph(job.stages, image, head, job.network.num_classes, job.head_parameters, never_move))


def show_samples(logger: VisualDLLogger, job: Job) -> None:
    """Show the first training images of the first epoch, as the network sees them."""
    count = min(job.config.log.sample_images, len(job.data.train))
    if count:
        loader = job.loader(job.data.train, training=True)
        first = np.concatenate(loader.index_batches())[:count]
        logger.add_images(np.stack([as_rgb(loader.view(int(index))) for index in first]))


def show_findings(logger: VisualDLLogger, job: Job, epoch: int) -> None:
    """Show the current network's worst mistakes, and its features of the images.

    Does nothing, at no cost, unless ``log.mistakes`` or ``log.embeddings`` is set.

    Args:
        logger: The VisualDL logger.
        job: The job; its network holds the weights to show.
        epoch: Epoch of these weights, from 1.
    """
    log, (split, images), task = job.config.log, job.data.evaluation, job.objective.task
    mistakes = 0 if task.predicts_numbers else log.mistakes
    most = max(min(_MOST_LOOKED_AT, len(images)) if mistakes else 0, min(log.embeddings, len(images)))
    if not most or not is_main_process():
        return
    seen = _look(job, images.take(_spread(len(images), most)))
    if mistakes:
        _show_mistakes(logger, job, seen, mistakes, f"mistakes ({split})", epoch)
    if log.embeddings:
        chosen = _spread(most, min(log.embeddings, most))
        true, predicted = seen.images.labels[chosen], task.decide(seen.outputs)[chosen]
        columns = {"label": task.words(true, job.data.classes), "predicted": task.words(predicted, job.data.classes)}
        logger.add_embeddings(seen.features[chosen], columns, f"features of {split} images")


def _look(job: Job, images: ImageSet) -> _Seen:
    """Compute features and outputs in one pass."""
    network, features, outputs = job.network, [], []
    network.eval()
    with paddle.no_grad():
        for batch in job.loader(images, training=False):
            top = network.features(paddle.to_tensor(batch.inputs), len(job.stages))
            outputs.append(network.forward_from(top, len(job.stages)).astype("float32").numpy())
            pooled = network.pool(top).astype("float32").numpy()
            flat = pooled.reshape(len(pooled), -1)
            if flat.shape[1] > _WIDEST and top.ndim > 2:
                flat = top.astype("float32").numpy().reshape(len(pooled), top.shape[1], -1).mean(2)
            features.append(flat)
    return _Seen(images, np.concatenate(features), np.concatenate(outputs))


def _show_mistakes(logger: VisualDLLogger, job: Job, seen: _Seen, most: int, tag: str, epoch: int) -> None:
    task, labels = job.objective.task, seen.images.labels
    wrong, certainty = task.mistakes(seen.outputs, labels)
    worst = np.argsort(-certainty, kind="stable")
    worst = worst[wrong[worst]][:most]
    if not len(worst):
        return
    loader = job.loader(seen.images, training=False)
    pixels = np.stack([as_rgb(loader.view(int(index))) for index in worst])
    true, predicted = (task.words(some[worst], job.data.classes) for some in (labels, task.decide(seen.outputs)))
    titles = [f"{one} taken for {other}" for one, other in zip(true, predicted, strict=True)]
    logger.add_titled_images(pixels, titles, tag, epoch)


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """At most ``most`` of ``count`` positions, evenly spread, as sets are often sorted by class."""
    return np.linspace(0, count - 1, most).round().astype(np.int64)
