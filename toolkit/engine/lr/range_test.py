"""The learning-rate range test of a job, separately for head and backbone; restores all weights.

A few steps with an exponentially rising rate show at which rate the loss starts to fall, where it falls fastest, and
where it diverges (Smith 2017, arXiv:1506.01186, section 3.3). The head is tested on features of the frozen backbone.
For the test of the backbone, the head is trained first and then keeps the rate found for it, so that changes of the
loss are due to the backbone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info, progress
from toolkit.core.errors import TrainingError
from toolkit.core.random import Stream, generator
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.job import Job
from toolkit.engine.lr.curve import RangeCurve, diverged, read_curve, rising_rates
from toolkit.engine.lr.trial import ShortTraining, borrowed
from toolkit.engine.standardise import standardise_as_planned
from toolkit.transfer import PhasePlan, spec_of

_DECADES = 3
"""The rates range from this factor below the plan's own to as far above."""
_LEAST_STEPS = 10
"""Fewer steps are not informative."""


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test.

    Attributes:
        optimizer: The plan's optimizer.
        curves: Of the head, and of the backbone if the plan moves part of it; of the whole network if it starts from
            random weights.
        settings: Config key -> suggested value.
    """

    optimizer: str
    curves: tuple[RangeCurve, ...]
    settings: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        result = {"optimizer": self.optimizer, "suggested": dict(self.settings)}
        return {**result, **{curve.part: curve.to_json() for curve in self.curves}}


def range_test(job: Job, head_steps: int = 100, backbone_steps: int = 60) -> RangeTest:
    """Test the head, and the backbone if the plan moves part of it.

    Args:
        job: The job; its network is restored bit for bit.
        head_steps: Maximum steps for the head, on features.
        backbone_steps: Maximum steps for the backbone, on images.

    Raises:
        TrainingError: The loss is NaN or infinite from the start, or there are too few steps.
    """
    if min(head_steps, backbone_steps) < _LEAST_STEPS:
        raise TrainingError(f"a range test of {min(head_steps, backbone_steps)} steps is too short; use more than 10")
    last, optimizer = min(job.plan.phases[::-1], key=lambda phase: phase.frozen), job.plan.optimizer
    with borrowed(job):
        if not job.plan.pretrained:
            curve = _test_network(job, last, backbone_steps)
            return RangeTest(optimizer, (curve,), {"train.lr": curve.suggestion})
        head, go_on = _test_head(job, head_steps)
        if last.frozen == len(job.stages):
            info("the plan moves no stage of the backbone: only the head was tested")
            return RangeTest(optimizer, (head,), {"train.lr": head.suggestion})
        go_on()
        backbone = _test_backbone(job, last, head.suggestion, backbone_steps)
    share = float(f"{min(1.0, backbone.suggestion / head.suggestion):.2g}")
    settings = {"train.lr": head.suggestion, "transfer.backbone_lr": share}
    return RangeTest(optimizer, (head, backbone), settings)


def _test_network(job: Job, phase: PhasePlan, steps: int) -> RangeCurve:
    """Test the rate of the whole network, each stage with its share of it."""
    job.network.set_frozen(phase.frozen)
    batches = FeatureSource(job).for_rows(phase, _some(job, steps), training=True)
    return _rising("network", phase.lr, steps, ShortTraining(job, phase, batches).step)


def _test_head(job: Job, steps: int) -> tuple[RangeCurve, Callable[[], None]]:
    """The head's curve, and a function that trains the head from its initial state at the suggested rate."""
    stages = len(job.stages)
    first = job.plan.phases[0]
    lr = first.lr if first.frozen == stages else spec_of(job.config.transfer).head_lr.of(job.plan.optimizer)
    phase = PhasePlan("head", steps, stages, lr, (0.0,) * stages, augment="none")
    job.network.set_frozen(stages)
    batches = FeatureSource(job).for_rows(phase, _some(job, steps), training=True)
    standardise_as_planned(job, phase, batches)
    fresh = {key: value.numpy().copy() for key, value in job.network.state_dict().items()}
    curve = _rising("head", lr, steps, ShortTraining(job, phase, batches).step)

    def go_on() -> None:
        job.network.set_state_dict(fresh)
        again = ShortTraining(job, phase, batches)
        for step in range(steps):
            again.step(curve.suggestion * 0.5 * (1 + math.cos(math.pi * step / steps)))

    return curve, go_on


def _test_backbone(job: Job, last: PhasePlan, head_lr: float, steps: int) -> RangeCurve:
    """Raise the rate of the top stage; lower ones keep their share of it, and the head its own rate."""
    job.network.set_frozen(last.frozen)
    top = last.multipliers[-1]
    shares = [multiplier / top for multiplier in last.multipliers]
    batches = FeatureSource(job).for_rows(last, _some(job, steps), training=True)
    training = ShortTraining(job, replace(last, lr=head_lr), batches)

    def step(rate: float) -> float:
        training.set_multipliers([share * rate / head_lr for share in shares])
        return training.step(head_lr)

    return _rising("backbone", last.lr * top, steps, step)


def _rising(part: str, usual: float, steps: int, step: Callable[[float], float]) -> RangeCurve:
    rates, losses = rising_rates(usual * 10**-_DECADES, usual * 10**_DECADES, steps), []
    stopped = False
    with progress("numbers") as bar:
        task = bar.add_task(f"range test of the {part}", total=steps, numbers="")
        for rate in rates:
            losses.append(step(float(rate)))
            bar.update(task, advance=1, numbers=f"lr {rate:.2g}  loss {losses[-1]:.4g}")
            stopped = diverged(losses)
            if stopped:
                break
    if np.isfinite(losses).sum() < 3:
        raise TrainingError(
            f"the loss is NaN or infinite from the start, at a rate of {rates[0]:.2g}",
            hint="check the images and labels, and the starting weights",
        )
    return read_curve(part, list(rates[: len(losses)]), losses, stopped=stopped)


def _some(job: Job, steps: int) -> NDArray[np.int64]:
    """Indices of as many training images as the steps use, drawn by the seed; all if there are no more."""
    count, wanted = len(job.data.train), steps * job.config.data.batch_size
    drawn = generator(Stream.RANGE_TEST, job.config.seed).permutation(count)
    return np.sort(drawn[:wanted]).astype(np.int64)
