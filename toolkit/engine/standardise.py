"""Set the statistics by which a head standardises its features, before it is trained alone."""

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
"""Number of images to use. They are the same whether features are cached or not, so that both train the same head."""
_CONSTANT = 1e-10
"""A variance below this share of the mean square is rounding."""


def standardise(job: Job, phase: PhasePlan, batches: Loader) -> None:
    """Set the feature statistics of a new head that is trained alone and by gradients.

    The scale of features differs by orders of magnitude between networks; standardised, one rate suits all.
    A trained head keeps its statistics; a head without statistics is not changed.

    Args:
        job: The job.
        phase: The phase to start.
        batches: Its training batches; the first images of epoch 0 are used.

    Raises:
        TrainingError: Features are not finite.
    """
    head = job.network.standardising_head
    alone = phase.frozen == len(job.stages) and phase.solver == "sgd"
    if head is not None and alone and head.is_fresh:
        head.set_feature_statistics(*feature_statistics(job.network, batches))


def standardise_as_planned(job: Job, phase: PhasePlan, batches: Loader) -> None:
    """Like ``standardise``, for a training outside the run, if the plan starts with a head alone.

    Args:
        job: The job.
        phase: The phase to try.
        batches: Its training batches.
    """
    if job.plan.phases[0].frozen == len(job.stages):
        standardise(job, phase, batches)


def feature_statistics(
    network: StagedNetwork, batches: Loader
) -> tuple[NDArray[np.float64], float | NDArray[np.float64]]:
    """Mean of each feature that the head reads, and one scale for all: the root of the features' mean variance.

    If the head reads several stages, each has its own scale, such that their total variances are equal and the mean
    variance of all features is 1.

    Args:
        network: The network.
        batches: Training batches; the first ones of epoch 0 are used, from all processes.

    Returns:
        ``[D]``, and a number above 0: 1 if all features are constant; with several stages, ``[D]`` such numbers. The
        same on all processes.

    Raises:
        TrainingError: Features are not finite.
    """
    pieces = network.feature_pieces
    ends = np.cumsum(pieces)[:-1]
    count, squares, total = 0, np.zeros(len(pieces)), np.zeros(network.feature_width)
    with evaluating(network), paddle.no_grad(), closing(_blocks(network, batches)) as blocks:
        for block in blocks:
            rows = block.astype(np.float64)
            squares += [float((piece * piece).sum()) for piece in np.split(rows, ends, axis=1)]
            count, total = count + len(rows), total + rows.sum(axis=0)
    whole = sums([*squares, float(count), *total])
    squares, count, total = np.array(whole[: len(pieces)]), int(whole[len(pieces)]), np.array(whole[len(pieces) + 1 :])
    if not np.isfinite(squares).all():
        raise TrainingError(
            "features of training images hold NaN or infinite numbers", hint="the network's weights may be damaged"
        )
    mean = total / count
    pairs = zip(np.split(mean, ends), squares / count, strict=True)
    scales = [_scale(piece, square) / np.sqrt(len(mean) / len(pieces) / len(piece)) for piece, square in pairs]
    return mean, float(scales[0]) if len(pieces) == 1 else np.repeat(scales, pieces)


def _scale(mean: NDArray[np.float64], square: float) -> float:
    """Root of the mean variance of features with these means and this mean squared norm; 1 if they are constant."""
    variance = (square - float(mean @ mean)) / len(mean)
    return 1.0 if variance <= _CONSTANT * square / len(mean) else float(np.sqrt(variance))


def _blocks(network: StagedNetwork, batches: Loader) -> Generator[NDArray[np.float32], None, None]:
    """The inputs of the head, ``[N, D]``, in blocks."""
    stages = len(network.stage_names)
    for block in _first(batches):
        yield network.pool(network.features(paddle.to_tensor(block), stages, batches.start_stage)).numpy()


def _first(batches: Loader) -> Iterator[NDArray[np.float32]]:
    """The first images, the same for any number of processes, each of which has its share."""
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
