"""Single entry point to a network's inputs: images, cached features, or features computed on the fly.

``policy`` decides which of the three to use; this module carries it out. Training, evaluation and the learning-rate
search all use it, so that they see the same images in the same way.
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
"""Features of all training images are cached if at least this share of them is used."""


@dataclass(frozen=True)
class PhaseInputs:
    """Batches of a phase; both enter the network at the same stage.

    Attributes:
        training: Shuffled, and augmented if the plan says so.
        validation: In order, centre-cropped.
    """

    training: Loader
    validation: Loader

    @property
    def start_stage(self) -> int:
        """Index of the first stage still to apply to both."""
        return self.training.start_stage


class FeatureSource:
    """Batches for a job's network.

    Args:
        job: The job.
        after_block: Called after each block of features computed for the cache; an exception ends the work, keeping
            what is finished.
    """

    def __init__(self, job: Job, after_block: Callable[[], None] = lambda: None) -> None:
        self._job = job
        self._after_block = after_block

    def for_phase(self, phase: PhasePlan, later: Sequence[PhasePlan] = ()) -> PhaseInputs:
        """Decide and report what a phase trains on, and compute missing features.

        Args:
            phase: The phase to start; its stages are already frozen.
            later: The phases after it; see ``decide``.

        Raises:
            ToolkitError: The disk is too small or full, or an image cannot be read.
        """
        plan = self._job.plan
        later = tuple(other for other in later if plan.augment_of(other) == plan.augment_of(phase))
        job = self._job.in_phase(phase)
        training = job.loader(job.data.train, training=True, shared=True)
        validation = job.loader(job.data.val, training=False, shared=True)
        decision = decide(job, phase, later)
        if decision.reason:
            info(decision.reason)
        boundary = job.network.sufficient(phase.frozen)
        if decision.cached:
            views = job.loader(job.data.train, training=decision.views > 0)
            requests = [Request(views, "training images", decision.views), self._all_validation_images()]
            trained, validated = self._cache().fill(requests, decision.boundaries)
            return PhaseInputs(
                FeatureLoader(trained, training, boundary), FeatureLoader(validated, validation, boundary)
            )
        run, mixed = self._runner(training, boundary, decision.engine), job.mixed(training)
        if run is None:
            return PhaseInputs(mixed, validation)
        kept = self._kept_validation(validation, decision.boundaries) if decision.validation else None
        computed = EngineLoader(mixed, run, boundary)
        return PhaseInputs(computed, kept or EngineLoader(validation, run, boundary))

    def for_rows(self, phase: PhasePlan, rows: NDArray[np.int64], *, training: bool, used: int | None = None) -> Loader:
        """Batches of some training images for a phase: cached features if that pays off, else images.

        Args:
            phase: The phase, whose stages are already frozen.
            rows: Positions of the images in the training set, int64 ``[N]``.
            training: In random order, augmented and mixed as in that phase; otherwise in the given order and
                centre-cropped.
            used: Total number of training images used, to decide whether caching all features pays off.
        """
        job = self._job.in_phase(phase if training else replace(phase, augment="none"))
        images, sampler = job.data.train, _Among(rows)
        if training:
            inner = make_sampler(job.config.data.sampling, images.take(rows)) or ShuffledSampler(len(rows))
            sampler = _Among(rows, inner)
        loader, decision = job.loader(images, training=training, sampler=sampler), decide(job, phase)
        boundary = job.network.sufficient(phase.frozen)
        if decision.cached and not decision.views and (used or len(rows)) >= _WORTH_KEEPING * len(images):
            request = Request(job.loader(images, training=False), "training images")
            (features,) = self._cache().fill([request], (boundary,))
            return FeatureLoader(features, loader, boundary)
        mixed = job.mixed(loader) if training else loader
        if phase.frozen == 0 or job.config.cache.enabled is False:
            return mixed
        engine = choose_engine(job.config.cache.engine, job.device, phase.epochs * len(rows))
        run = self._runner(loader, boundary, engine)
        return mixed if run is None else EngineLoader(mixed, run, boundary)

    def for_evaluation(self, images: ImageSet) -> Loader:
        """Images for the network of a trained run, in order and centre-cropped.

        As in the last phase, they come as features of its frozen stages: those of validation images from the cache if
        they are stored for these weights, others computed by an engine.

        Args:
            images: The image set to evaluate.

        Returns:
            All batches, even if several processes train together.
        """
        job, phase = self._job, self._job.plan.phases[-1]
        loader, decision = job.loader(images, training=False), decide(job.in_phase(phase), phase)
        if not decision.cached and decision.engine == "dygraph":
            return loader
        boundary = job.network.sufficient(phase.frozen)
        if images is job.data.val:
            kept = self._cache().kept(self._all_validation_images(), boundary)
            if kept is not None:
                return FeatureLoader([kept], loader, boundary)
        run = self._runner(loader, boundary, choose_engine(job.config.cache.engine, job.device, len(images)))
        return loader if run is None else EngineLoader(loader, run, boundary)

    def _runner(
        self, loader: BatchLoader, boundary: int, engine: Engine
    ) -> Callable[[NDArray[np.float32]], Floats] | None:
        """A runner for the stages up to a boundary that agrees with dygraph; None: use the network itself."""
        job = self._job
        frozen, shape = StageSlice(job.network, 0, boundary), image_shape(job.preprocessing)
        return load_runner(frozen, shape, engine, few_rows(loader))

    def _cache(self) -> FeatureCache:
        return FeatureCache(self._job.network, self._job.config.cache, self._job.device, self._after_block)

    def _all_validation_images(self) -> Request:
        """Request for all validation images; each process reads its part of the features."""
        return Request(self._job.loader(self._job.data.val, training=False), "validation images")

    def _kept_validation(self, validation: BatchLoader, boundaries: tuple[int, ...]) -> FeatureLoader | None:
        """Validation features computed once; None, with a warning, if they cannot be stored and are optional."""
        try:
            (features,) = self._cache().fill([self._all_validation_images()], boundaries)
        except (DataError, Interrupted):
            raise
        except ToolkitError as error:
            if self._job.config.cache.enabled is True:
                raise
            warn(f"computing features of validation images in each epoch, as they cannot be cached: {error.message}")
            return None
        return FeatureLoader(features, validation, boundaries[-1])


class _Among(Sampler):
    """Another sampler's order restricted to some positions; without a sampler, their given order."""

    def __init__(self, positions: NDArray[np.int64], inner: Sampler | None = None) -> None:
        self._positions, self._inner = positions, inner

    def __len__(self) -> int:
        return len(self._positions if self._inner is None else self._inner)

    def order(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """Positions in the whole set."""
        return self._positions if self._inner is None else self._positions[self._inner.order(seed, epoch)]
