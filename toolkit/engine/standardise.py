"""Before a head is trained alone: the statistics by which it standardises its features."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.core.errors import TrainingError
from toolkit.core.evaluation import evaluating
from toolkit.data import Batch
from toolkit.data.loading import Loader
from toolkit.engine.job import Job
from toolkit.engine.learning.distributed import sums
from toolkit.transfer import PhasePlan
from toolkit.zoo import StagedNetwork

_SAMPLE = 512
"""Images that are enough. The same ones count whether features are kept or not, so that both train the same head."""
_CONSTANT = 1e-10
"""A variance below this share of the mean square is rounding."""


def standardise(job: Job, phase: PhasePlan, batches: Loader) -> None:
    """Tell a new head the statistics of its features, where it is trained alone and by gradients.

    The features' scale differs by orders of magnitude between networks; standardised, one learning rate suits them all.
    A head that has learned keeps what it has, and so does one that takes no statistics.

    Args:
        job: The job.
        phase: The phase that begins.
        batches: What it trains on; the first images of epoch 0 are looked at.

    Raises:
        TrainingError: Features are not finite.
    """
    head = job.network.standardising_head
    alone = phase.frozen == len(job.stages) and phase.solver == "sgd"
    if head is not None and alone and head.is_fresh:
        head.set_feature_statistics(*feature_statistics(job.network, batches))


def standardise_as_planned(job: Job, phase: PhasePlan, batches: Loader) -> None:
    """The same for a training beside the run: where the plan begins with a head alone, so that its features are such.

    Args:
        job: The job.
        phase: What is tried.
        batches: What it learns from.
    """
    if job.plan.phases[0].frozen == len(job.stages):
        standardise(job, phase, batches)


def feature_statistics(network: StagedNetwork, batches: Loader) -> tuple[NDArray[np.float64], float]:
    """Mean of each feature that the head reads, and one scale for all: the root of the mean variance of a feature.

    Args:
        network: The network.
        batches: The first ones of epoch 0 count, of all processes.

    Returns:
        ``[D]``, and a number above 0: 1 where all features are constant. The same on all processes.

    Raises:
        TrainingError: Features are not finite.
    """
    count, squares, total = 0, 0.0, np.zeros(network.feature_width)
    with evaluating(network), paddle.no_grad(), closing(_blocks(network, batches)) as blocks:
        for block in blocks:
            rows = block.astype(np.float64)
            count, squares, total = count + len(rows), squares + float((rows * rows).sum()), total + rows.sum(axis=0)
    squares, *whole = sums([squares, float(count), *total])
    count, total = int(whole[0]), np.array(whole[1:])
    if not np.isfinite(squares):
        raise TrainingError(
            "features of training images hold NaN or infinite numbers", hint="the network's weights may be damaged"
        )
    mean = total / count
    variance = (squares / count - float(mean @ mean)) / len(mean)
    constant = variance <= _CONSTANT * squares / count / len(mean)
    return mean, 1.0 if constant else float(np.sqrt(variance))


def _blocks(network: StagedNetwork, batches: Loader) -> Generator[NDArray[np.float32], None, None]:
    """What the head reads, ``[N, D]``, a block at a time."""
    stages = len(network.stage_names)
    for block in _first(batches):
        yield network.pool(network.features(paddle.to_tensor(block), stages, batches.start_stage)).numpy()


def _first(batches: Loader) -> Iterator[NDArray[np.float32]]:
    """The same images on any number of processes, each of which has its share of them."""
    seen = 0
    batches.set_epoch(0)
    stream: Iterator[Batch] = iter(batches)
    for batch in stream:
        yield batch.inputs
        seen += int(sums([float(len(batch))])[0])
        if seen >= _SAMPLE:
            break
    if hasattr(stream, "close"):
        stream.close()
