"""A few steps of training beside a run: for questions that only trying answers. The network is given back as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.runtime import seed_everything
from toolkit.data import Batch
from toolkit.data.sampling import Sampler, ShuffledSampler, make_sampler
from toolkit.engine.evaluate import predict_outputs
from toolkit.engine.features.cache import EngineLoader, FeatureCache, FeatureLoader, Request, image_shape
from toolkit.engine.features.extract import few_rows
from toolkit.engine.features.policy import decide
from toolkit.engine.features.runners import StageSlice, choose_engine, load_runner
from toolkit.engine.features.source import Batches
from toolkit.engine.job import Job
from toolkit.engine.learning.optimizer import make_optimizer
from toolkit.engine.learning.step import TrainingStep
from toolkit.transfer import PhasePlan, set_multipliers

_SHORT = 7
"""Apart from the seeds of a run's own steps."""
_WORTH_KEEPING = 0.5
"""Features of all training images are kept where so large a share of them is used."""


@contextmanager
def borrowed(job: Job) -> Iterator[None]:
    """Train the job's network as you like: afterwards its weights and statistics are what they were, to the bit."""
    network = job.network
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    frozen = network.frozen
    try:
        yield
    finally:
        network.set_state_dict(before)
        network.set_frozen(frozen)
        network.clear_gradients()
        seed_everything(job.config.seed)


class _Among(Sampler):
    """Another sampler's order, among some positions only; without one as they stand."""

    def __init__(self, positions: NDArray[np.int64], inner: Sampler | None = None) -> None:
        self._positions, self._inner = positions, inner

    def __len__(self) -> int:
        return len(self._positions if self._inner is None else self._inner)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions in the whole set."""
        return self._positions if self._inner is None else self._positions[self._inner.order(seed, epoch)]


def phase_batches(
    job: Job, phase: PhasePlan, rows: NDArray[np.int64], *, training: bool, used: int | None = None
) -> tuple[Batches, int]:
    """Batches of some training images for a phase: of kept features where that pays, else of images.

    Args:
        job: The job; its network has the phase's stages frozen already.
        phase: Which stages are frozen, for how many epochs.
        rows: Positions of the images in the training set.
        training: In random order, augmented and mixed as in that phase; else in the given order and cropped in the
            centre.
        used: Training images that are used altogether, for the question whether features of all of them pay.

    Returns:
        The batches, and the number of stages that they have behind them.
    """
    job = job.in_phase(phase if training else replace(phase, augment="none"))
    images, sampler = job.data.train, _Among(rows)
    if training:
        sampler = _Among(rows, make_sampler(job.config.data.sampling, images.take(rows)) or ShuffledSampler(len(rows)))
    loader, decision = job.loader(images, training=training, sampler=sampler), decide(job, phase)
    if decision.cached and not decision.views and (used or len(rows)) >= _WORTH_KEEPING * len(images):
        request = Request(job.loader(images, training=False), "training images")
        (features,) = FeatureCache(job.network, job.config.cache, job.device).fill([request], (phase.frozen,))
        return FeatureLoader(features, loader), phase.frozen
    mixed = job.mixed(loader) if training else loader
    if phase.frozen == 0 or job.config.cache.enabled is False:
        return mixed, 0
    engine = choose_engine(job.config.cache.engine, job.device, phase.epochs * len(rows))
    run = load_runner(
        StageSlice(job.network, 0, phase.frozen), image_shape(job.preprocessing), engine, few_rows(loader)
    )
    return (mixed, 0) if run is None else (EngineLoader(mixed, run), phase.frozen)


def endless(batches: Batches) -> Iterator[Batch]:
    """Epoch after epoch."""
    epoch = 0
    while True:
        batches.set_epoch(epoch)
        yield from batches
        epoch += 1


class ShortTraining:
    """Steps on the job's network, which should be ``borrowed``; each is the update that a run would make.

    Args:
        job: The job.
        phase: What is frozen, and how fast the rest learns.
        start_stage: Index of the first stage that the batches still go through.
    """

    def __init__(self, job: Job, phase: PhasePlan, start_stage: int) -> None:
        self._job, self._start_stage = job, start_stage
        job.network.set_frozen(phase.frozen)
        self.set_multipliers(phase.multipliers)
        train = job.config.train
        self._optimizer = make_optimizer(job.plan.optimizer, train, job.network, phase.lr)
        pull = None if job.l2_sp is None else job.l2_sp.add_gradient
        self._stepper = TrainingStep(job.network, job.objective, self._optimizer, train, pull)
        self._done = 0

    def set_multipliers(self, multipliers: Sequence[float]) -> None:
        """Change the rate of each stage, as a fraction of the head's."""
        network = self._job.network
        stages = [network.stage_parameters(index) for index in range(len(self._job.stages))]
        set_multipliers(stages, multipliers, network.head_parameters())

    def step(self, batch: Batch, lr: float) -> float:
        """One update of the weights.

        Args:
            batch: What to learn from.
            lr: Learning rate of the head.

        Returns:
            The loss before the update.
        """
        seed = np.random.SeedSequence([self._job.config.seed, _SHORT, self._done]).generate_state(1)[0]
        seed_everything(int(seed))
        self._optimizer.set_lr(lr)
        self._done += 1
        with self._job.network.starting_at(self._start_stage):
            found, _, _ = self._stepper.step(batch)
        return found["loss"]

    def outputs(self, batches: Batches, start_stage: int) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """The network's outputs ``[N, C]`` and the labels of all batches, in their order; in evaluation mode.

        Args:
            batches: What to predict.
            start_stage: Index of the first stage that they still go through.
        """
        with self._job.network.starting_at(start_stage):
            return predict_outputs(self._job.network, batches, self._job.config.train)
