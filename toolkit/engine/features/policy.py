"""Decide whether a phase reads features or images, and why."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit.cache import feature_bytes
from toolkit.engine.features.cache import feature_dtype
from toolkit.engine.features.runners import choose_engine
from toolkit.engine.job import Job
from toolkit.inference import Engine
from toolkit.transfer import PhasePlan
from toolkit.zoo.measurements import measured_networks

_MACS_A_SECOND = 10e9
"""Rough speed of a current CPU core, in multiply-accumulates per second."""
_DECODING = 2e-3
"""Rough time to read and prepare one image, in seconds."""
_BYTES_A_SECOND = 500e6
"""Rough read speed of a disk."""
_ENGINE_GAIN = 2.0
"""Minimum speed-up of an engine over dygraph."""


@dataclass(frozen=True)
class Decision:
    """The inputs of a phase.

    Attributes:
        cached: Whether the phase reads cached features.
        boundaries: Numbers of frozen stages at which features are cached, ascending; the last one is the phase's own:
            all its frozen stages, or fewer if the head reads a lower one (``StagedNetwork.sufficient``).
        views: Augmented views of each training image; 0 for the centre crop.
        validation: Whether validation features alone are computed once, at ``boundaries``.
        reason: A one-line explanation; empty if there is nothing to decide.
        engine: Engine for the frozen stages of images on the fly; ``dygraph`` is the network itself.
    """

    cached: bool
    boundaries: tuple[int, ...] = ()
    views: int = 0
    validation: bool = False
    reason: str = ""
    engine: Engine = "dygraph"


def decide(job: Job, phase: PhasePlan, later: Sequence[PhasePlan] = ()) -> Decision:
    """Decide by cost whether to compute the frozen stages of a phase only once.

    Cached: an engine computes every image (or each of its views) once, and each epoch reads the features. Not cached:
    each epoch decodes and computes every image.

    Args:
        job: The job.
        phase: The phase to decide for.
        later: The phases after it. If one of them freezes fewer stages and will be cached too, its features are
            computed first, and this phase's from them.
    """
    cache, augment = job.config.cache, job.plan.augment
    if not phase.frozen or cache.enabled is False:
        return Decision(False)
    if changed := [stage.name for index, stage in enumerate(job.stages) if index in job.network.by_hand.stages]:
        return Decision(False, reason=f"feature cache: off, as {', '.join(changed[:3])} was changed by hand")
    if job.mixing or (augment != "none" and cache.views is None):
        return _as_they_come(job, phase, later, *_never_the_same(job))
    views = cache.views or 0 if augment != "none" else 0
    if cache.enabled == "auto" and (reason := _too_expensive(job, phase, max(1, views))):
        return _as_they_come(job, phase, later, reason)

    def worth(boundary: PhasePlan) -> bool:
        return cache.enabled is True or not _too_expensive(job, boundary, max(1, views))

    images = max(1, views) * len(job.data.train) + len(job.data.val)
    return Decision(True, _boundaries(job, phase, later, images, worth), views, reason=_why(job, phase, views))


def _boundary(job: Job, phase: PhasePlan) -> int:
    """Number of stages after which a phase's features are cached."""
    return job.network.sufficient(phase.frozen)


def _which(job: Job, phase: PhasePlan) -> str:
    """Which stages are computed to the phase's boundary, and why not all frozen ones."""
    boundary = _boundary(job, phase)
    if boundary == phase.frozen:
        return f"{phase.frozen} frozen stages"
    return f"{boundary} of {phase.frozen} frozen stages (the head reads {job.stages[boundary - 1].name})"


def _boundaries(
    job: Job, phase: PhasePlan, later: Sequence[PhasePlan], images: int, worth: Callable[[PhasePlan], bool]
) -> tuple[int, ...]:
    """The phase's own boundary, and lower ones of later phases that are worth caching and fit in the cache as well."""
    own, limit = _boundary(job, phase), job.config.cache.max_size
    boundaries = [own]
    lower = {_boundary(job, other): other for other in later if 0 < _boundary(job, other) < own and worth(other)}
    room = math.inf if limit is None or job.config.cache.enabled is True else limit - images * _row_bytes(job, phase)
    for frozen in sorted(lower, reverse=True):
        room -= images * _row_bytes(job, lower[frozen])
        if room >= 0:
            boundaries.append(frozen)
    return tuple(sorted(boundaries))


def _never_the_same(job: Job) -> tuple[str, str]:
    """Why training images differ in each epoch, and a hint on how to change that."""
    changes = [f"augmentation ({job.plan.augment})"] if job.plan.augment != "none" else []
    changes += job.config.train.mixing if job.mixing else ()
    make = "makes a new image" if len(changes) == 1 else "make new images"
    hint = "" if job.mixing else "; cache.views: 4 would keep four views of each"
    return f"as {' and '.join(changes)} {make} in each epoch", hint


def _as_they_come(job: Job, phase: PhasePlan, later: Sequence[PhasePlan], why: str, hint: str = "") -> Decision:
    """Inputs if training images go through the frozen stages in every epoch, while validation images stay the same."""
    engine = choose_engine(job.config.cache.engine, job.device, phase.epochs * len(job.data.train))
    reason = f"feature cache: off, {why}"
    if engine == "dygraph":
        return Decision(False, reason=reason + hint, engine=engine)

    def worth(boundary: PhasePlan) -> bool:
        return job.config.cache.enabled is True or _validation_pays(job, boundary)

    reason += f", and its {_which(job, phase)} are computed by {engine}"
    validation = worth(phase)
    if validation:
        reason += "; those of validation images once"
    boundaries = _boundaries(job, phase, later, len(job.data.val), worth)
    return Decision(False, boundaries, validation=validation, reason=reason + hint, engine=engine)


def _why(job: Job, phase: PhasePlan, views: int) -> str:
    subject = f"{views} views of each image" if views else "each image"
    times = f"instead of {phase.epochs} times" if phase.epochs > max(1, views) else "for later runs too"
    return f"feature cache: on, {_which(job, phase)} process {subject} once {times}"


def _too_expensive(job: Job, phase: PhasePlan, views: int) -> str:
    """Why caching would not pay off; empty if it does."""
    size = _row_bytes(job, phase)
    computing, reading = _forward_seconds(job, _boundary(job, phase)), size / _BYTES_A_SECOND
    without = phase.epochs * (_DECODING + computing)
    cached = views * (_DECODING + computing / _ENGINE_GAIN) + phase.epochs * reading
    if cached >= without:
        if phase.epochs * reading >= without / 2:
            work = f"reading {size / 1e6:.1f} MB per image {phase.epochs} times"
        else:
            work = f"computing {_boundary(job, phase)} stages for {views} views of each image"
        return f"as {work} takes longer than computing them on the fly"
    limit = job.config.cache.max_size
    total = size * (views * len(job.data.train) + len(job.data.val))
    if limit is not None and total > limit:
        return f"as {total / 1e9:.1f} GB of features are more than cache.max_size ({limit / 1e9:.1f} GB)"
    return ""


def _validation_pays(job: Job, phase: PhasePlan) -> bool:
    """Whether it pays off to compute validation features once rather than in each epoch."""
    size, limit = _row_bytes(job, phase), job.config.cache.max_size
    computing = _DECODING + _forward_seconds(job, _boundary(job, phase)) / _ENGINE_GAIN
    pays = computing + phase.epochs * size / _BYTES_A_SECOND < phase.epochs * computing
    return pays and (limit is None or size * len(job.data.val) <= limit)


def _row_bytes(job: Job, phase: PhasePlan) -> int:
    """Size of one image's features in bytes."""
    boundary = _boundary(job, phase)
    pooled = job.network.pooled_after(boundary)
    shape = (job.network.feature_width,) if pooled else job.stages[boundary - 1].shape
    return feature_bytes(1, shape, feature_dtype(job.config.cache, pooled=pooled))


def _forward_seconds(job: Job, stages: int) -> float:
    """Time of the first stages for one image, from the network's known cost, split evenly over stages."""
    known = measured_networks().get(job.network.spec.name)
    if known is None:
        return _DECODING
    scale = (job.preprocessing.image_size / known.image_size) ** 2
    return known.macs * scale * stages / known.stages / _MACS_A_SECOND
