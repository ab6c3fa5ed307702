"""The trainer: phases, epochs and steps on ``paddle.Model``, with everything recorded in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paddle
from numpy.typing import NDArray
from paddle.static import InputSpec

from toolkit.config import Config
from toolkit.core.console import info, show, warn
from toolkit.core.errors import DivergedError, Interrupted, ToolkitError
from toolkit.core.runtime import world_size
from toolkit.data import Batch
from toolkit.data.summary import data_table
from toolkit.engine.callback_list import as_paddle_logs, metric_names
from toolkit.engine.callbacks import build_callbacks, custom_callbacks
from toolkit.engine.features.source import Batches, PhaseInputs, prepare_inputs
from toolkit.engine.job import Job, build_job
from toolkit.engine.learning.distributed import begin, single_model, sums
from toolkit.engine.learning.optimizer import make_optimizer, optimizer_state, restore_optimizer
from toolkit.engine.learning.precision import check_device
from toolkit.engine.learning.schedule import LearningRate, scaled_rate
from toolkit.engine.learning.step import TrainingStep, seed_step, step_seed
from toolkit.engine.lr.search import settle_rates
from toolkit.engine.manual_changes import adopt, check_network, heed_callbacks, put_back
from toolkit.engine.runs.checkpoints import CheckpointManager, check_best, load_newest
from toolkit.engine.runs.frozen_check import FrozenCheck, check_numbers
from toolkit.engine.runs.record import describe_run, finish_record, make_result, model_facts, recorded_result
from toolkit.engine.runs.result import RunResult
from toolkit.engine.runs.resume import first_step, open_run, seen_as_before
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.signals import StopTraining, resumable, stop_requests
from toolkit.engine.solvers.phase import settle_solver, solve_phase
from toolkit.engine.standardise import standardise
from toolkit.engine.validation import Validation, validate
from toolkit.transfer import PhasePlan, plan_table, set_multipliers

_MOST_BACKOFFS = 8
"""Times that a run goes back after a loss that is no number, in a phase."""


class Trainer:
    """Trains a job's network by its plan.

    Args:
        job: Data, network and plan.
        callbacks: More of Paddle's callbacks, called after those that the config names.

    Example:
        >>> from toolkit import Trainer, load_config
        >>> result = Trainer.from_config(load_config("configs/quickstart.yaml")).fit()  # doctest: +SKIP
        >>> result.best["top1"]  # doctest: +SKIP
    """

    def __init__(self, job: Job, callbacks: Sequence[paddle.callbacks.Callback] = ()) -> None:
        check_network(job)
        self.job = job
        self._more_callbacks = tuple(callbacks)
        network, size = job.network, job.preprocessing.image_size
        self.model = single_model(
            network,
            inputs=[InputSpec([None, job.preprocessing.channels, size, size], "float32", "image")],
            labels=[job.objective.label_spec(network.num_classes)],
        )
        self.state = TrainingState()
        self._rate: LearningRate | None = None
        self._stepper: TrainingStep | None = None
        self._settled: tuple[dict[str, Any], dict[str, NDArray[Any]], float, bool] | None = None
        self._validation: Validation
        self._pull = job.l2_sp.add_gradient if job.l2_sp is not None else None

    @classmethod
    def from_config(cls, config: Config) -> Trainer:
        """Build the job of a config and a trainer for it.

        Raises:
            ToolkitError: Anything in the config that does not fit the data, the network or the machine.
        """
        return cls(build_job(config))

    def fit(self, resume: Path | str | None = None) -> RunResult:
        """Train all phases, keep the best and the last epoch, and prove that frozen stages did not move.

        Args:
            resume: Folder of an interrupted run of the same config, to go on where its newest checkpoint stands;
                ``auto`` for the newest unfinished one, if there is any.

        Returns:
            What came out. The network holds the best epoch's weights.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the message says how to resume.
            ConfigError: A callback of the user's cannot be made, or the run to resume has another config.
            TrainingError: The loss became NaN, frozen weights moved, or another process trains in the run's folder.
            ToolkitError: The run's folder cannot be written.
        """
        check_device(self.job.config.train)
        begin()
        job = self.job = settle_solver(settle_rates(adopt(self.job), resume), resume)
        if job.config.train.sync_batch_norm and world_size() > 1:
            job.network.synchronise_batch_norm()
        job.loader(job.data.train, training=True, shared=True)  # too few images, and
        custom = [*custom_callbacks(job.config), *self._more_callbacks]  # a wrong callback leave no folder behind
        opened = open_run(job, resume)
        self.folder = opened.folder
        if opened.resumed:
            job = self.job = seen_as_before(job, opened.folder)
        try:
            self.was_complete = opened.complete
            if opened.complete:
                return recorded_result(job, self.folder)
            with stop_requests() as self._request:
                self._checkpoints = CheckpointManager(self.folder, model_facts(job).to_dict())
                best = (self._keep_best, lambda metric: self._validation.error(metric))
                self._callbacks = build_callbacks(job, self.folder, self.model, *best, custom)
                self._begin(resumed=opened.resumed)
                self._train()
            with resumable(self.folder):
                return self._finish()
        finally:
            if opened.lock is not None:
                opened.lock.release()

    def _begin(self, *, resumed: bool) -> None:
        job, folder = self.job, self.folder
        show(data_table(job.data))
        if resumed:
            state = load_newest(folder)
            if not check_best(folder, state):
                warn(f"{folder.best} is damaged or gone; the best epoch is chosen among those that come")
                state.best = None
                state.callbacks.pop("Checkpoint", None)
            if state.phase == len(job.plan.phases) and state.planned < job.plan.epochs:
                state.phase -= 1  # the config has more epochs now
            self._checkpoints.snapshot(state)
            self._go_back()
            info(f"resuming {folder.path} {self.state.position(self.job.plan)}")
        else:
            self.state = TrainingState()
            show(plan_table(job.plan, job.stages, job.head_parameters))
        folder.write_record(describe_run(job, self.state, folder.read_record() if resumed else {}))
        if not resumed:
            self._keep(write=True)

    def _go_back(self) -> None:
        """Make everything what it was when the state that is kept was taken."""
        self.state, self._settled = self._checkpoints.restore(), None
        put_back(self.job.network, self.state)
        self.folder.keep_metrics_until(self.state.epoch)
        self._callbacks.restore(self.state.callbacks, self.state.averages)

    def _train(self) -> None:
        """Train; whatever ends it, what can be kept is kept."""
        try:
            self._callbacks.call("on_train_begin")
            while self.state.phase < len(self.job.plan.phases):
                self._run_phase_patiently()
                self._stop_if_asked(between_steps=False)
            self._callbacks.call("on_train_end")
        except StopTraining as stop:
            self._keep(write=True)
            raise Interrupted(
                f"{stop.signal_name}: stopped; {self.folder.last} was written {self.state.position(self.job.plan)}",
                hint=f"go on with: {self.folder.resume_command}{self.folder.use_commands}",
            ) from None
        except Exception as error:
            if self._settled is not None and self.state.step and not isinstance(error, DivergedError):
                self._keep()  # the epoch is trained; its evaluation follows at resume
            self._keep_after_error()
            raise
        finally:
            self._callbacks.close()

    def _run_phase_patiently(self) -> None:
        """Run a phase; after a loss that is no number go back with half the rate, where the config says so."""
        for left in range(_MOST_BACKOFFS, -1, -1):
            try:
                return self._run_phase(self.job.plan.phases[self.state.phase])
            except DivergedError as error:
                if self.job.config.train.on_nan == "stop" or not left:
                    raise
                self._leave_phase()
                self._checkpoints.latest.lr_scale *= 0.5
                self._go_back()
                warn(f"{error.message}; going on {self.state.position(self.job.plan)} with half the learning rate")
                self._callbacks.call("on_train_begin")

    def _run_phase(self, phase: PhasePlan) -> None:
        job, state, network = self.job, self.state, self.job.network
        heed_callbacks(job)
        network.set_frozen(phase.frozen)
        set_multipliers([network.stage_parameters(i) for i in range(len(job.stages))], phase.multipliers)
        inputs = prepare_inputs(job, phase, job.plan.phases[state.phase + 1 :], self._stop_if_asked)
        resumed = bool(state.phase_epoch or state.step)
        if not resumed:
            standardise(job, phase, inputs)
        train, lr = job.config.train, scaled_rate(phase.lr, job.config.train, world_size())
        optimizer = make_optimizer(job.plan.optimizer, train, network, lr)
        self.model.prepare(optimizer, job.objective, job.objective.running())
        self._stepper = TrainingStep(network, job.objective, optimizer, train, self._pull)
        self._rate = LearningRate(optimizer, train, lr, len(inputs.training), phase.epochs)
        if resumed:
            restore_optimizer(optimizer, network, state.optimizer)
            self._stepper.restore(state.scaler)
        self._rate.scale = state.lr_scale
        proof = FrozenCheck(job, phase, state, resumed=resumed)
        self.model.stop_training = resumed and state.stopping
        begun = {"steps": len(inputs.training), "done": state.phase_epoch, "start_stage": inputs.start_stage}
        self._callbacks.start_phase(state.phase, job.stages, **begun, resumed=resumed)
        with network.starting_at(inputs.start_stage):
            while state.phase_epoch < phase.epochs and not self.model.stop_training:
                self._run_epoch(inputs, phase)
        self._callbacks.end_phase()
        proof.end(state)
        self._end_phase()

    def _end_phase(self) -> None:
        """Note that a phase is over; the last one's optimizer is kept, for a run that is given more epochs later."""
        state = self.state
        state.phase += 1
        if state.phase < len(self.job.plan.phases):
            state.phase_epoch, state.lr_scale, state.optimizer, state.scaler = 0, 1.0, {}, {}
            self._leave_phase()
        self._keep(write=True)
        self._leave_phase()

    def _leave_phase(self) -> None:
        self._stepper = self._rate = None

    def _run_epoch(self, inputs: PhaseInputs, phase: PhasePlan) -> None:
        state, call, rate, began = self.state, self._callbacks.call, self._rate, time.monotonic()
        assert rate is not None
        training, validation, told = inputs.training, inputs.validation, self._callbacks.told
        call("on_epoch_begin", state.epoch)
        heed_callbacks(self.job)
        if phase.solver == "exact":
            train, state.solved = solve_phase(self.job, training, validation, self._stop_if_asked)
            self.folder.write_record({**self.folder.read_record(), "solver": state.solved})
        else:
            train = self._train_steps(training)
        check_numbers(self.job.network, state.epoch)
        self._settled = self._callbacks.state(), self._callbacks.arrays(), rate.settled(), self.model.stop_training
        call("on_epoch_end", state.epoch, as_paddle_logs(train))
        call("on_eval_begin", {"steps": len(validation), "metrics": metric_names(self.job)})
        self._validation = validate(self.job, lambda: told(self._stoppable(validation)), self._callbacks.averaging)
        val = self._validation.metrics
        state.last = {**val, "epoch": state.epoch + 1}
        call("on_eval_end", as_paddle_logs(val))
        rate.note_changes()
        seconds = state.epoch_seconds + time.monotonic() - began
        self.folder.append_metrics(
            {"epoch": state.epoch + 1, "phase": phase.name, "train": train, "val": val, "seconds": round(seconds, 3)}
        )
        state.epoch, state.phase_epoch = state.epoch + 1, state.phase_epoch + 1
        state.step, state.seen, state.sums, state.epoch_seconds = 0, 0, {}, 0.0
        state.seconds, self._settled = state.seconds + seconds, None
        self._keep(write=self._checkpoints.due)
        self._stop_if_asked(between_steps=False)

    def _train_steps(self, training: Batches) -> dict[str, float]:
        state, rate, stepper, began = self.state, self._rate, self._stepper, time.monotonic()
        assert rate is not None
        assert stepper is not None
        first = state.phase_epoch * len(training)
        state.step = first_step(self.job, state)
        training.set_epoch(state.epoch, state.step)
        if state.step:
            rate.before_step(first + state.step - 1)  # what stood on the optimizer when the run was interrupted
        for batch in training:
            step = state.step
            self._callbacks.call("on_train_batch_begin", step)
            rate.before_step(first + step)
            state.largest_lr = max(state.largest_lr, rate.value)
            seed_step(step_seed(self.job.config.seed, state.epoch, step))
            found, count, asked = stepper.step(batch, self._request.asked, self._callbacks.watch(step))
            state.sums = {name: state.sums.get(name, 0.0) + value * count for name, value in found.items()}
            state.seen += count
            means = {name: value / state.seen for name, value in state.sums.items()}
            logs = {**means, "loss": found["loss"], "lr": rate.value, "seen": state.seen}
            logs.update(step=step, batch_size=count)
            self._callbacks.call("on_train_batch_end", step, as_paddle_logs(logs))
            state.step += 1
            if asked or self._checkpoints.overdue:
                check_numbers(self.job.network, state.epoch)
                state.epoch_seconds, began = state.epoch_seconds + time.monotonic() - began, time.monotonic()
                self._keep(write=not asked)
            if asked:
                raise StopTraining(self._request.signal_name or "another process")
        return {**{name: value / state.seen for name, value in state.sums.items()}, "lr": rate.value}

    def _stoppable(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; after each of them the run may end."""
        for batch in batches:
            yield batch
            self._stop_if_asked()

    def _stop_if_asked(self, *, between_steps: bool = True) -> None:
        """End where somebody has asked for it; several processes only where they all come by, between two epochs."""
        alone, wanted = world_size() == 1, self._request.asked
        asked = wanted if alone else not between_steps and sums([float(wanted)])[0] > 0
        if asked:
            raise StopTraining(self._request.signal_name or "another process")

    def _keep_after_error(self) -> None:
        """Save the last state that is whole, where that is possible; the error itself is told by who raised it."""
        try:
            self._checkpoints.write()
        except (ToolkitError, OSError):
            where = f"{self.folder.last} could not be written once more" if self.folder.has_checkpoint else ""
        else:
            self.state = self._checkpoints.restore()
            where = f"{self.folder.last} was written {self.state.position(self.job.plan)}"
        if where:
            info(f"{where}; when the error is mended, go on with: {self.folder.resume_command}")

    def _keep_best(self) -> None:
        self.state.best = self.state.last
        self._checkpoints.keep_best({**self._weights(), **(self._validation.averages or {})})

    def _keep(self, *, write: bool = False) -> None:
        """Take everything as it stands now; write it too, if that is due."""
        state, rate = self.state, self._rate
        settled = self._settled or (None, None, None, self.model.stop_training)
        state.planned, state.stopping = self.job.plan.epochs, bool(settled[3])
        state.weights, by_hand = self._weights(), self.job.network.by_hand
        state.held, state.evaluating = sorted(by_hand.held), sorted(by_hand.evaluating)
        if rate is not None and self._stepper is not None:
            state.lr_scale = rate.settled() if settled[2] is None else settled[2]
            state.optimizer = optimizer_state(self.model._optimizer, self.job.network)
            state.scaler = self._stepper.state()
        if state.epoch or state.step:
            state.callbacks, state.averages = (self._settled or (self._callbacks.state(), self._callbacks.arrays()))[:2]
        self._checkpoints.snapshot(state)
        if write:
            self._checkpoints.write()

    def _weights(self) -> dict[str, NDArray[Any]]:
        return {key: value.numpy().copy() for key, value in self.job.network.state_dict().items()}

    def _finish(self) -> RunResult:
        result = make_result(self.job, self.folder, self.state, self._callbacks.checkpoint)
        self._callbacks.finish(result)
        self.folder.write_record(finish_record(self.folder.read_record(), self.state, result))
        return result
