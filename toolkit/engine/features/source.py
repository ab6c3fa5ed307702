"""What a phase trains on, and a run is evaluated on: images, kept features, or features computed as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from toolkit.core.console import info, warn
from toolkit.core.errors import DataError, Interrupted, ToolkitError
from toolkit.data import BatchLoader, ImageSet
from toolkit.engine.features.cache import EngineLoader, FeatureCache, FeatureLoader, Request, image_shape
from toolkit.engine.features.extract import few_rows
from toolkit.engine.features.policy import decide
from toolkit.engine.features.runners import StageSlice, choose_engine, load_runner
from toolkit.engine.job import Job
from toolkit.engine.learning.mixup import MixingLoader
from toolkit.transfer import PhasePlan

Batches = BatchLoader | FeatureLoader | EngineLoader | MixingLoader


@dataclass(frozen=True)
class PhaseInputs:
    """Batches of a phase.

    Attributes:
        training: Shuffled, and augmented where the plan wants it.
        validation: In order, cropped in the centre.
        start_stage: Index of the first stage that they still go through.
    """

    training: Batches
    validation: Batches
    start_stage: int


def prepare_inputs(
    job: Job, phase: PhasePlan, later: tuple[PhasePlan, ...], after_block: Callable[[], None]
) -> PhaseInputs:
    """Decide what a phase trains on, say so, and compute features that are missing.

    Args:
        job: The job.
        phase: The phase that begins; its stages are frozen already.
        later: The phases after it; see ``decide``.
        after_block: See ``FeatureCache``.

    Raises:
        ToolkitError: The disk is too small or full, or an image cannot be read.
    """
    later = tuple(each for each in later if job.plan.augment_of(each) == job.plan.augment_of(phase))
    job = job.in_phase(phase)
    training = job.loader(job.data.train, training=True, shared=True)
    validation = job.loader(job.data.val, training=False, shared=True)
    decision = decide(job, phase, later)
    if decision.reason:
        info(decision.reason)
    if decision.cached:
        views = job.loader(job.data.train, training=decision.views > 0)
        requests = [Request(views, "training images", decision.views), _validation(job)]
        cache = FeatureCache(job.network, job.config.cache, job.device, after_block)
        trained, validated = cache.fill(requests, decision.boundaries)
        return PhaseInputs(FeatureLoader(trained, training), FeatureLoader(validated, validation), phase.frozen)
    stage_slice, rows = StageSlice(job.network, 0, phase.frozen), few_rows(training)
    run = load_runner(stage_slice, image_shape(job.preprocessing), decision.engine, rows)
    mixed = job.mixed(training)
    if run is None:
        return PhaseInputs(mixed, validation, 0)
    computed: Batches = EngineLoader(validation, run)
    if decision.validation:
        computed = _kept(job, validation, decision.boundaries, after_block) or computed
    return PhaseInputs(EngineLoader(mixed, run), computed, phase.frozen)


@contextmanager
def evaluation_batches(job: Job, images: ImageSet) -> Iterator[Batches]:
    """Images for the network of a run that has been trained, in order and cropped in the centre.

    As in the last phase, they come as features of its frozen stages: those of validation images from the cache where
    they are kept for these weights, others computed by an engine. The network enters above these stages meanwhile.

    Args:
        job: The run's job, with the weights to evaluate.
        images: Of which part.

    Yields:
        All batches, also where several processes train together.
    """
    batches, start_stage = _evaluated(job, images)
    with job.network.starting_at(start_stage):
        yield batches


def _evaluated(job: Job, images: ImageSet) -> tuple[Batches, int]:
    """The batches, and the number of stages that they have behind them."""
    loader, phase, cache = job.loader(images, training=False), job.plan.phases[-1], job.config.cache
    decision = decide(job.in_phase(phase), phase)
    if not decision.cached and decision.engine == "dygraph":
        return loader, 0
    if images is job.data.val:
        kept = FeatureCache(job.network, cache, job.device).kept(_validation(job), phase.frozen)
        if kept is not None:
            return FeatureLoader([kept], loader), phase.frozen
    engine = choose_engine(cache.engine, job.device, len(images))
    run = load_runner(
        StageSlice(job.network, 0, phase.frozen), image_shape(job.preprocessing), engine, few_rows(loader)
    )
    return (loader, 0) if run is None else (EngineLoader(loader, run), phase.frozen)


def _validation(job: Job) -> Request:
    """All validation images; each process reads its part of their features."""
    return Request(job.loader(job.data.val, training=False), "validation images")


def _kept(
    job: Job, validation: BatchLoader, boundaries: tuple[int, ...], after_block: Callable[[], None]
) -> FeatureLoader | None:
    """Validation features computed once; None where they cannot be kept and need not be, which is said."""
    cache = FeatureCache(job.network, job.config.cache, job.device, after_block)
    try:
        (features,) = cache.fill([_validation(job)], boundaries)
    except (DataError, Interrupted):
        raise
    except ToolkitError as error:
        if job.config.cache.enabled is True:
            raise
        warn(f"features of validation images are computed in each epoch, as they cannot be kept: {error.message}")
        return None
    return FeatureLoader(features, validation)
