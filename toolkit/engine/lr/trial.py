"""A few training steps outside a run, for questions that only trials answer. The network is restored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from toolkit.core.random import Stream, derived_seed
from toolkit.core.runtime import seed_everything
from toolkit.data import Batch
from toolkit.data.loading import Loader
from toolkit.engine.job import Job
from toolkit.engine.learning.optimizer import make_optimizer
from toolkit.engine.learning.step import TrainingStep
from toolkit.transfer import PhasePlan, set_multipliers


@contextmanager
def borrowed(job: Job) -> Iterator[None]:
    """Restore the job's network bit for bit after the context, which may train it freely."""
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


class ShortTraining:
    """Steps on the job's network, which should be ``borrowed``; each is the same update as in a run.

    Args:
        job: The job.
        phase: Defines what is frozen, and how fast the rest learns.
        batches: The training batches, from epoch 0 on, for as many epochs as the steps need.
    """

    def __init__(self, job: Job, phase: PhasePlan, batches: Loader) -> None:
        self._job, self._start_stage, self._stream = job, batches.start_stage, _endless(batches)
        job.network.set_frozen(phase.frozen)
        self.set_multipliers(phase.multipliers)
        train = job.config.train
        self._optimizer = make_optimizer(job.plan.optimizer, train, job.network, phase.lr)
        pull = None if job.l2_sp is None else job.l2_sp.add_gradient
        self._step = TrainingStep(job.network, job.objective, self._optimizer, train, pull)
        self._done = 0

    def set_multipliers(self, multipliers: Sequence[float]) -> None:
        """Set the rate of each stage, as a fraction of the head's."""
        network = self._job.network
        stages = [network.stage_parameters(index) for index in range(len(self._job.stages))]
        set_multipliers(stages, multipliers, network.head_parameters())

    def step(self, lr: float) -> float:
        """Update the weights once, from the next batch.

        Args:
            lr: Learning rate of the head.

        Returns:
            The loss before the update.
        """
        seed_everything(derived_seed(self._job.config.seed, Stream.SHORT_TRAINING, self._done))
        self._optimizer.set_lr(lr)
        self._done += 1
        with self._job.network.starting_at(self._start_stage):
            metrics, _, _ = self._step.step(next(self._stream))
        return metrics["loss"]


def _endless(batches: Loader) -> Iterator[Batch]:
    """Yield batches epoch after epoch."""
    epoch = 0
    while True:
        batches.set_epoch(epoch)
        yield from batches
        epoch += 1
