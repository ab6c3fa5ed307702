"""The one door to what a network is trained and measured on: images, kept features, or features computed as they come.

Which of the three it is, ``policy`` decides; this module does what was decided. Training, evaluation and the search for
a learning rate all ask here, so that they see the same images in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info, warn
from toolkit.core.errors import DataError, Interrupted, ToolkitError
from toolkit.data import BatchLoader, ImageSet
from toolkit.data.loading import Loader
from toolkit.data.sampling import Sampler, ShuffledSampler, make_sampler
from toolkit.engine.features.cache import FeatureCache, Request, image_shape
from toolkit.engine.features.extract import few_rows
from toolkit.engine.features.loaders import EngineLoader, FeatureLoader
from toolkit.engine.features.policy import decide
from toolkit.engine.features.runners import StageSlice, choose_engine, load_runner
from toolkit.engine.job import Job
from toolkit.inference import Engine, Floats
from toolkit.transfer import PhasePlan

_WORTH_KEEPING = 0.5
"""Features of all training images are kept where at least this share of them is used."""


@dataclass(frozen=True)
class PhaseInputs:
    """Batches of a phase; both enter the network at the same stage.

    Attributes:
        training: Shuffled, and augmented where the plan wants it.
        validation: In order, cropped in the centre.
    """

    training: Loader
    validation: Loader

    @property
    def start_stage(self) -> int:
        """Index of the first stage that they still go through."""
        return self.training.start_stage


class FeatureSource:
    """Batches for a job's network.

    Args:
        job: The job.
        after_block: Called after each block of features that is computed to be kept; what it raises ends the work, and
            what is finished stays.
    """

    def __init__(self, job: Job, after_block: Callable[[], None] = lambda: None) -> None:
        self._job = job
        self._after_block = after_block

    def for_phase(self, phase: PhasePlan, later: Sequence[PhasePlan] = ()) -> PhaseInputs:
        """Decide what a phase trains on, say so, and compute features that are missing.

        Args:
            phase: The phase that begins; its stages are frozen already.
            later: The phases after it; see ``decide``.

        Raises:
            ToolkitError: The disk is too small or full, or an image cannot be read.
        """
        plan = self._job.plan
        later = tuple(each for each in later if plan.augment_of(each) == plan.augment_of(phase))
        job = self._job.in_phase(phase)
        training = job.loader(job.data.train, training=True, shared=True)
        validation = job.loader(job.data.val, training=False, shared=True)
        decision = decide(job, phase, later)
        if decision.reason:
            info(decision.reason)
        if decision.cached:
            views = job.loader(job.data.train, training=decision.views > 0)
            requests = [Request(views, "training images", decision.views), self._all_validation_images()]
            trained, validated = self._cache().fill(requests, decision.boundaries)
            return PhaseInputs(
                FeatureLoader(trained, training, phase.frozen), FeatureLoader(validated, validation, phase.frozen)
            )
        run, mixed = self._runner(training, phase, decision.engine), job.mixed(training)
        if run is None:
            return PhaseInputs(mixed, validation)
        kept = self._kept_validation(validation, decision.boundaries) if decision.validation else None
        computed = EngineLoader(mixed, run, phase.frozen)
        return PhaseInputs(computed, kept or EngineLoader(validation, run, phase.frozen))

    def for_rows(self, phase: PhasePlan, rows: NDArray[np.int64], *, training: bool, used: int | None = None) -> Loader:
        """Batches of some training images for a phase: of kept features where that pays, else of images.

        Args:
            phase: Which stages are frozen (they are already), for how many epochs.
            rows: Positions of the images in the training set, int64 ``[N]``.
            training: In random order, augmented and mixed as in that phase; else in the given order and cropped in the
                centre.
            used: Training images that are used altogether, for the question whether features of all of them pay.
        """
        job = self._job.in_phase(phase if training else replace(phase, augment="none"))
        images, sampler = job.data.train, _Among(rows)
        if training:
            inner = make_sampler(job.config.data.sampling, images.take(rows)) or ShuffledSampler(len(rows))
            sampler = _Among(rows, inner)
        loader, decision = job.loader(images, training=training, sampler=sampler), decide(job, phase)
        if decision.cached and not decision.views and (used or len(rows)) >= _WORTH_KEEPING * len(images):
            request = Request(job.loader(images, training=False), "training images")
            (features,) = self._cache().fill([request], (phase.frozen,))
            return FeatureLoader(features, loader, phase.frozen)
        mixed = job.mixed(loader) if training else loader
        if phase.frozen == 0 or job.config.cache.enabled is False:
            return mixed
        engine = choose_engine(job.config.cache.engine, job.device, phase.epochs * len(rows))
        run = self._runner(loader, phase, engine)
        return mixed if run is None else EngineLoader(mixed, run, phase.frozen)

    def for_evaluation(self, images: ImageSet) -> Loader:
        """Images for the network of a run that has been trained, in order and cropped in the centre.

        As in the last phase, they come as features of its frozen stages: those of validation images from the cache
        where they are kept for these weights, others computed by an engine.

        Args:
            images: Of which part of the data.

        Returns:
            All batches, also where several processes train together.
        """
        job, phase = self._job, self._job.plan.phases[-1]
        loader, decision = job.loader(images, training=False), decide(job.in_phase(phase), phase)
        if not decision.cached and decision.engine == "dygraph":
            return loader
        if images is job.data.val:
            kept = self._cache().kept(self._all_validation_images(), phase.frozen)
            if kept is not None:
                return FeatureLoader([kept], loader, phase.frozen)
        run = self._runner(loader, phase, choose_engine(job.config.cache.engine, job.device, len(images)))
        return loader if run is None else EngineLoader(loader, run, phase.frozen)

    def _runner(
        self, loader: BatchLoader, phase: PhasePlan, engine: Engine
    ) -> Callable[[NDArray[np.float32]], Floats] | None:
        """What computes a phase's frozen stages, once it agrees with dygraph; None: the network itself does."""
        job = self._job
        frozen, shape = StageSlice(job.network, 0, phase.frozen), image_shape(job.preprocessing)
        return load_runner(frozen, shape, engine, few_rows(loader))

    def _cache(self) -> FeatureCache:
        return FeatureCache(self._job.network, self._job.config.cache, self._job.device, self._after_block)

    def _all_validation_images(self) -> Request:
        """Each process reads its part of their features."""
        return Request(self._job.loader(self._job.data.val, training=False), "validation images")

    def _kept_validation(self, validation: BatchLoader, boundaries: tuple[int, ...]) -> FeatureLoader | None:
        """Validation features computed once; None, with a line, where they cannot be kept and need not be."""
        try:
            (features,) = self._cache().fill([self._all_validation_images()], boundaries)
        except (DataError, Interrupted):
            raise
        except ToolkitError as error:
            if self._job.config.cache.enabled is True:
                raise
            warn(f"features of validation images are computed in each epoch, as they cannot be kept: {error.message}")
            return None
        return FeatureLoader(features, validation, boundaries[-1])


class _Among(Sampler):
    """Another sampler's order, among some positions only; without one as they are given."""

    def __init__(self, positions: NDArray[np.int64], inner: Sampler | None = None) -> None:
        self._positions, self._inner = positions, inner

    def __len__(self) -> int:
        return len(self._positions if self._inner is None else self._inner)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions in the whole set."""
        return self._positions if self._inner is None else self._positions[self._inner.order(seed, epoch)]
