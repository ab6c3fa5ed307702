"""``train.lr: auto``: find the rate by a few short trainings, using only training images.

The plan's own rate, a third and three times of it are tried from the same weights: a head alone for up to
``_HEAD_STEPS`` steps on features (plus one more rate if the best of the three is not the middle one), a plan that moves
stages for its first ``_TUNING_STEPS``. The results are measured on training images held out by the seed; validation
images are not used, so that they remain representative of new images. A rate other than the plan's own is chosen only
if it is surely better: few steps favour small rates, and results on few images are noisy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from rich.table import Table

from toolkit.config import Config
from toolkit.core.console import info, new_table, show
from toolkit.core.random import Stream, generator
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.job import Job
from toolkit.engine.lr.trial import ShortTraining, borrowed
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.resume import unfinished_run
from toolkit.engine.standardise import standardise_as_planned
from toolkit.transfer import PhasePlan

_FACTORS = (1.0, 1 / 3, 3.0)
"""Factors of the plan's own rate, which comes first."""
_HEAD_STEPS = 200
_TUNING_STEPS = 40
_HELD_OUT = 0.2
_LEAST_HELD_OUT = 8
"""With fewer images, a single one would decide."""
_SURE = 2.0
"""Standard errors by which a rate must beat the plan's own, as a few steps on a few images are noisy."""

_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class RateTrial:
    """One tested rate.

    Attributes:
        lr: Learning rate of the head.
        factor: The rate as a multiple of the plan's.
        loss: Loss on the held-out images; infinite if it is NaN.
        score: The task's main metric on the held-out images.
        gain: Mean decrease of an image's loss compared with the plan's own rate.
        gain_error: Standard error of the gain over the held-out images.
    """

    lr: float
    factor: float
    loss: float
    score: float
    gain: float = 0.0
    gain_error: float = 0.0

    @property
    def surely_better(self) -> bool:
        """Whether it beats the plan's own rate by more than two standard errors."""
        return self.gain > _SURE * self.gain_error


@dataclass(frozen=True)
class RateSearch:
    """The trials and the choice: the lowest loss among the plan's own rate and those that are surely better.

    Attributes:
        phase: Name of the phase whose rate was searched.
        lr: The chosen rate.
        factor: The rate as a multiple of the plan's.
        steps: Steps of each trial.
        trained: Number of training images used for learning.
        held_out: Number of training images held out for measuring.
        metric: Name of the main metric.
        trials: One per rate; empty if there are too few images.
    """

    phase: str
    lr: float
    factor: float
    steps: int
    trained: int
    held_out: int
    metric: str
    trials: tuple[RateTrial, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        return asdict(self)

    def table(self) -> Table:
        """The trials as a table."""
        numeric = ("learning rate", "loss", self.metric, "better by")
        table = new_table(f"train.lr: auto, phase {self.phase}", *numeric, "chosen", numeric=numeric)
        table.caption_justify = "left"
        table.caption = f"{self.steps} steps on {self.trained} training images; measured on the other {self.held_out}"
        for trial in self.trials:
            chosen = trial.factor == self.factor
            gain = "" if trial.factor == 1.0 else f"{trial.gain:+.2g} ± {trial.gain_error:.1g}"
            numbers = f"{trial.lr:.3g}", f"{trial.loss:.4g}", f"{trial.score:.4f}", gain
            table.add_row(*numbers, "yes" if chosen else "", style="bold" if chosen else None)
        return table


def settle_rates(job: Job, resume: Path | str | None) -> Job:
    """Settle the rates of ``train.lr: auto`` and print them in a table; other jobs are returned unchanged.

    Args:
        job: The job; its network is restored.
        resume: As for ``Trainer.fit``. A resumed run keeps its original rates.
    """
    if not any(phase.search for phase in job.plan.phases):
        return job
    begun = run_to_go_on_with(job.config, resume)
    if begun is not None and not begun.config.is_file():
        return job  # no such run, which is reported elsewhere
    record = None if begun is None else begun.read_record().get("lr_search")
    if record is None:
        search = find_rates(job)
        if search.trials:
            show(search.table())
        else:
            info(
                f"train.lr: auto: {len(job.data.train)} training images are too few to try rates; using {search.lr:.3g}"
            )
        record = search.to_json()
    return replace(job, plan=job.plan.with_rates(record["factor"]), lr_search=record)


def run_to_go_on_with(config: Config, resume: Path | str | None) -> RunFolder | None:
    """The run that a training resumes, which may not exist; arguments as for ``settle_rates``."""
    wanted = resume if resume is not None else config.train.resume
    if wanted is None:
        return None
    return unfinished_run(config) if wanted == "auto" else RunFolder(Path(wanted))


def find_rates(job: Job) -> RateSearch:
    """Try rates for the last phase of the plan that needs one.

    Args:
        job: The job; its network is restored bit for bit.
    """
    phase = next(candidate for candidate in job.plan.phases[::-1] if candidate.search)
    fit, held = _split(job)
    batches = math.ceil(len(fit) / job.config.data.batch_size)
    most = _HEAD_STEPS if phase.frozen == len(job.stages) else _TUNING_STEPS
    steps = max(1, min(phase.epochs * batches, most))
    facts = (steps, len(fit), len(held), job.objective.task.main.title)
    if len(held) < _LEAST_HELD_OUT:
        return RateSearch(phase.name, phase.lr, 1.0, *facts, trials=())
    with borrowed(job):
        _train_head_before(job, phase, fit)
        trials = _try_rates(job, phase, fit, held, steps)
    best = _best(trials)
    return RateSearch(phase.name, best.lr, best.factor, *facts, trials=trials)


def _split(job: Job) -> tuple[_Rows, _Rows]:
    """Indices to learn from and to measure on, stratified by class; a class's only image is never held out."""
    labels, rng = job.data.train.labels, generator(Stream.RATE_SEARCH, job.config.seed)
    groups = job.objective.task.groups(labels)
    drawn = [rng.permutation(group)[: round(_HELD_OUT * len(group))] for group in groups]
    held = np.sort(np.concatenate(drawn)).astype(np.int64)
    return np.setdiff1d(np.arange(len(labels), dtype=np.int64), held), held


def _train_head_before(job: Job, phase: PhasePlan, fit: _Rows) -> None:
    """If phases of the head alone come first, train the head accordingly before the trials."""
    before = job.plan.phases[: job.plan.phases.index(phase)]
    heads = [earlier for earlier in before if earlier.frozen == len(job.stages)]
    if not heads or phase.frozen == len(job.stages):
        return
    job.network.set_frozen(heads[0].frozen)
    batches = FeatureSource(job).for_rows(heads[0], fit, training=True, used=len(job.data.train))
    standardise_as_planned(job, heads[0], batches)
    steps = min(_HEAD_STEPS, sum(earlier.epochs for earlier in heads) * len(batches))
    _train(ShortTraining(job, heads[0], batches), steps, heads[0].lr)


def _try_rates(job: Job, phase: PhasePlan, fit: _Rows, held: _Rows, steps: int) -> tuple[RateTrial, ...]:
    network, used = job.network, len(job.data.train)
    network.set_frozen(phase.frozen)
    source = FeatureSource(job)
    batches = source.for_rows(phase, fit, training=True, used=used)
    standardise_as_planned(job, phase, batches)
    start = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    measured = source.for_rows(phase, held, training=False, used=used)
    own: list[NDArray[np.float64]] = []

    def attempt(factor: float) -> RateTrial:
        network.set_state_dict(start)
        _train(ShortTraining(job, phase, batches), steps, factor * phase.lr)
        outputs, labels = loader_outputs(network, measured, job.config.train)
        losses = job.objective.sample_losses(paddle.to_tensor(outputs), paddle.to_tensor(labels)).numpy().reshape(-1)
        own.append(losses.astype(np.float64))  # the first attempt has the plan's own rate
        return _measured(job, outputs, labels, factor * phase.lr, factor, own[0] - own[-1])

    trials = [attempt(factor) for factor in _FACTORS]
    if phase.frozen == len(job.stages):  # on features, one more is cheap
        best = _best(trials)
        if best.factor != 1.0:
            trials.append(attempt(best.factor**2))
    return tuple(sorted(trials, key=lambda trial: trial.factor))


def _measured(
    job: Job, outputs: NDArray[np.float32], labels: NDArray[Any], lr: float, factor: float, gains: NDArray[np.float64]
) -> RateTrial:
    loss, score, gain, error = math.inf, math.nan, -math.inf, 0.0
    if np.isfinite(outputs).all():
        metrics = job.objective.metrics(outputs, labels)
        loss, score = metrics["loss"], metrics[job.objective.task.main.name]
        known = bool(np.isfinite(gains).all())  # otherwise the plan's own rate diverged
        gain = float(gains.mean()) if known else math.inf
        error = float(gains.std(ddof=1)) / math.sqrt(len(gains)) if known else 0.0
    return RateTrial(float(f"{lr:.3g}"), factor, loss, score, gain, error)


def _best(trials: Sequence[RateTrial]) -> RateTrial:
    """The trial with the lowest loss, among the plan's own rate and those that are surely better."""
    return min((trial for trial in trials if trial.factor == 1.0 or trial.surely_better), key=lambda trial: trial.loss)


def _train(training: ShortTraining, steps: int, lr: float) -> None:
    """Train with a rate that falls to 0 (cosine)."""
    for step in range(steps):
        training.step(lr * 0.5 * (1 + math.cos(math.pi * step / steps)))
