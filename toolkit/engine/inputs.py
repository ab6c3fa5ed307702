"""What a phase trains on: images, kept features, or features that are computed as they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.console import info
from toolkit.data import BatchLoader
from toolkit.engine.caching import decide
from toolkit.engine.features import EngineLoader, FeatureCache, FeatureLoader, Request, image_shape
from toolkit.engine.job import Job
from toolkit.engine.programs import Part, load_runner
from toolkit.transfer import PhasePlan

__all__ = ["Batches", "PhaseInputs", "prepare_inputs"]

Batches = BatchLoader | FeatureLoader | EngineLoader


@dataclass(frozen=True)
class PhaseInputs:
    """Batches of a phase.

    Attributes:
        training: Shuffled, and augmented where the plan wants it.
        validation: In order, cropped in the centre.
        entry: Number of stages that they have behind them; there they enter the network.
    """

    training: Batches
    validation: Batches
    entry: int


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
    training, validation = job.loader(job.data.train, training=True), job.loader(job.data.val, training=False)
    decision = decide(job, phase, later)
    if decision.reason:
        info(decision.reason)
    if decision.cached:
        views = training if decision.views else job.loader(job.data.train, training=False)
        requests = [Request(views, "training images", decision.views), Request(validation, "validation images")]
        cache = FeatureCache(job.network, job.config.cache, job.device, after_block)
        trained, validated = cache.fill(requests, decision.boundaries)
        return PhaseInputs(FeatureLoader(trained, training), FeatureLoader(validated, validation), phase.frozen)
    part = Part(job.network, 0, phase.frozen)
    run = load_runner(part, image_shape(job.preprocessing), decision.engine)
    if run is None:
        return PhaseInputs(training, validation, 0)
    return PhaseInputs(EngineLoader(training, run), EngineLoader(validation, run), phase.frozen)
