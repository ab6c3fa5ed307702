"""One phase of a run: what is frozen, its inputs, its optimizer and rate, and its epochs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import paddle
from numpy.typing import NDArray

from toolkit.core.runtime import world_size
from toolkit.data import Batch
from toolkit.engine.callback_list import CallbackList, as_paddle_logs, metric_names
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.job import Job
from toolkit.engine.learning.optimizer import make_optimizer, optimizer_state, restore_optimizer
from toolkit.engine.learning.schedule import LearningRate, scaled_rate
from toolkit.engine.learning.step import TrainingStep, seed_step, step_seed
from toolkit.engine.manual_changes import check_callback_changes
from toolkit.engine.runs.checkpoints import CheckpointManager
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.frozen_check import FrozenCheck, check_numbers
from toolkit.engine.runs.resume import first_step
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.signals import StopRequest, StopTraining
from toolkit.engine.solvers.phase import solve_phase
from toolkit.engine.standardise import standardise
from toolkit.transfer import PhasePlan, set_multipliers


class Run(Protocol):
    """The interface of a run that a phase uses."""

    job: Job
    model: paddle.Model
    folder: RunFolder
    state: TrainingState
    callbacks: CallbackList
    checkpoints: CheckpointManager
    request: StopRequest

    def stop_if_asked(self, *, between_steps: bool = True) -> None:
        """End the run if requested."""

    def snapshot(self, *, write: bool = False) -> None:
        """Take a snapshot of everything, and optionally write it."""

    def validate(self, batches: Callable[[], Iterable[Batch]]) -> dict[str, float]:
        """Compute the metrics of the validation images."""


@dataclass(frozen=True)
class Settled:
    """State to resume with when an epoch is trained but not evaluated, so that callbacks do not act twice."""

    callbacks: dict[str, Any]
    averages: dict[str, NDArray[Any]]
    lr_scale: float
    stopping: bool


class PhaseRun:
    """A phase from the run's current state to the phase's end.

    Args:
        run: The run. Its state determines whether the phase starts or resumes.
        phase: The phase of the plan.

    Attributes:
        settled: Set while an epoch is trained and not yet evaluated.

    Raises:
        ToolkitError: Its inputs cannot be created.
        StopTraining: The end was requested while features were computed.
    """

    def __init__(self, run: Run, phase: PhasePlan) -> None:
        self._run, self._phase = run, phase
        job, state, network = run.job, run.state, run.job.network
        check_callback_changes(job)
        network.set_frozen(phase.frozen)
        set_multipliers([network.stage_parameters(i) for i in range(len(job.stages))], phase.multipliers)
        later = job.plan.phases[state.phase + 1 :]
        self._inputs = FeatureSource(job, run.stop_if_asked).for_phase(phase, later)
        self._resumed = bool(state.phase_epoch or state.step)
        if not self._resumed:
            standardise(job, phase, self._inputs.training)
        train, lr = job.config.train, scaled_rate(phase.lr, job.config.train, world_size())
        optimizer = make_optimizer(job.plan.optimizer, train, network, lr)
        run.model.prepare(optimizer, job.objective, job.objective.running())
        pull = job.l2_sp.add_gradient if job.l2_sp is not None else None
        self._step = TrainingStep(network, job.objective, optimizer, train, pull)
        self._rate = LearningRate(optimizer, train, lr, len(self._inputs.training), phase.epochs)
        if self._resumed:
            restore_optimizer(optimizer, network, state.optimizer)
            self._step.restore(state.scaler)
        self._rate.scale = state.lr_scale
        self._check = FrozenCheck(job, phase, state, resumed=self._resumed)
        run.model.stop_training = self._resumed and state.stopping
        self.settled: Settled | None = None

    def train(self) -> None:
        """Train the remaining epochs, and check that frozen arrays did not change.

        Raises:
            StopTraining: The end was requested.
            DivergedError: Losses or weights became NaN or infinite.
            TrainingError: Frozen weights changed, or trainable weights did not.
        """
        run, state, inputs = self._run, self._run.state, self._inputs
        run.callbacks.start_phase(
            state.phase,
            run.job.stages,
            steps=len(inputs.training),
            done=state.phase_epoch,
            start_stage=inputs.start_stage,
            resumed=self._resumed,
        )
        with run.job.network.starting_at(inputs.start_stage):
            while state.phase_epoch < self._phase.epochs and not run.model.stop_training:
                self._train_epoch()
        run.callbacks.end_phase()
        self._check.end(state)

    def note(self) -> None:
        """Store the optimizer and its rate in the run's state."""
        run, state = self._run, self._run.state
        state.lr_scale = self._rate.settled() if self.settled is None else self.settled.lr_scale
        state.optimizer = optimizer_state(run.model._optimizer, run.job.network)
        state.scaler = self._step.state()

    def _train_epoch(self) -> None:
        run, state, rate, inputs, began = self._run, self._run.state, self._rate, self._inputs, time.monotonic()
        call = run.callbacks.call
        call("on_epoch_begin", state.epoch)
        check_callback_changes(run.job)
        train = self._solve() if self._phase.solver == "exact" else self._train_steps()
        check_numbers(run.job.network, state.epoch)
        self.settled = Settled(
            run.callbacks.state(), run.callbacks.arrays(), rate.settled(), bool(run.model.stop_training)
        )
        call("on_epoch_end", state.epoch, as_paddle_logs(train))
        call("on_eval_begin", {"steps": len(inputs.validation), "metrics": metric_names(run.job)})
        val = run.validate(lambda: run.callbacks.told(self._stoppable(inputs.validation)))
        state.last = {**val, "epoch": state.epoch + 1}
        call("on_eval_end", as_paddle_logs(val))
        rate.note_changes()
        self._close_epoch(train, val, state.epoch_seconds + time.monotonic() - began)

    def _close_epoch(self, train: Mapping[str, float], val: Mapping[str, float], seconds: float) -> None:
        run, state = self._run, self._run.state
        name = self._phase.name
        run.folder.append_metrics(
            {"epoch": state.epoch + 1, "phase": name, "train": train, "val": val, "seconds": round(seconds, 3)}
        )
        state.epoch, state.phase_epoch = state.epoch + 1, state.phase_epoch + 1
        state.step, state.seen, state.sums, state.epoch_seconds = 0, 0, {}, 0.0
        state.seconds, self.settled = state.seconds + seconds, None
        run.snapshot(write=run.checkpoints.due)
        run.stop_if_asked(between_steps=False)

    def _solve(self) -> dict[str, float]:
        run, inputs = self._run, self._inputs
        train, run.state.solved = solve_phase(run.job, inputs.training, inputs.validation, run.stop_if_asked)
        run.folder.write_record({**run.folder.read_record(), "solver": run.state.solved})
        return train

    def _train_steps(self) -> dict[str, float]:
        run, state, rate, batches = self._run, self._run.state, self._rate, self._inputs.training
        first, began = state.phase_epoch * len(batches), time.monotonic()
        state.step = first_step(run.job, state)
        batches.set_epoch(state.epoch, state.step)
        if state.step:
            rate.before_step(first + state.step - 1)  # the optimizer's rate at the interruption
        for batch in batches:
            step = state.step
            run.callbacks.call("on_train_batch_begin", step)
            rate.before_step(first + step)
            state.largest_lr = max(state.largest_lr, rate.value)
            seed_step(step_seed(run.job.config.seed, state.epoch, step))
            metrics, count, asked = self._step.step(batch, run.request.asked, run.callbacks.watch(step))
            state.sums = {name: state.sums.get(name, 0.0) + value * count for name, value in metrics.items()}
            state.seen += count
            logs = {**_means(state), "loss": metrics["loss"], "lr": rate.value, "seen": state.seen}
            logs.update(step=step, batch_size=count)
            run.callbacks.call("on_train_batch_end", step, as_paddle_logs(logs))
            state.step += 1
            if asked or run.checkpoints.overdue:
                check_numbers(run.job.network, state.epoch)
                state.epoch_seconds, began = state.epoch_seconds + time.monotonic() - began, time.monotonic()
                run.snapshot(write=not asked)
            if asked:
                raise StopTraining(run.request.signal_name or "another process")
        return {**_means(state), "lr": rate.value}

    def _stoppable(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches; the run may end after each of them."""
        for batch in batches:
            yield batch
            self._run.stop_if_asked()


def _means(state: TrainingState) -> dict[str, float]:
    """Mean training metrics of the epoch so far."""
    return {name: value / state.seen for name, value in state.sums.items()}
