"""The trainer: a run from its start, or from an interruption, to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import paddle
from numpy.typing import NDArray
from paddle.callbacks import Callback
from paddle.static import InputSpec

from toolkit.config import Config
from toolkit.core.console import info, show, warn
from toolkit.core.errors import DivergedError, Interrupted, ToolkitError, TrainingError
from toolkit.core.runtime import world_size
from toolkit.data import Batch
from toolkit.data.summary import data_table
from toolkit.engine.build import build_job
from toolkit.engine.callbacks import build_callbacks, custom_callbacks
from toolkit.engine.job import Job
from toolkit.engine.learning.distributed import begin, single_model, sums
from toolkit.engine.learning.precision import check_device
from toolkit.engine.lr.search import settle_rates
from toolkit.engine.manual_changes import adopt, check_network, put_back
from toolkit.engine.phase import PhaseRun
from toolkit.engine.runs.checkpoints import CheckpointManager, check_best, load_newest
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.record import describe_run, finish_record, make_result, model_facts, recorded_result
from toolkit.engine.runs.result import RunResult
from toolkit.engine.runs.resume import open_run, seen_as_before
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.signals import StopRequest, StopTraining, resumable, stop_requests
from toolkit.engine.solvers.phase import settle_solver
from toolkit.engine.validation import Validation, validate
from toolkit.transfer import plan_table

_MOST_BACKOFFS = 8
"""Maximum rollbacks per phase after a loss became NaN or infinite."""


class Trainer:
    """Trains a job's network according to its plan.

    Args:
        job: Data, network and plan.
        callbacks: Additional Paddle callbacks, called after the configured ones.

    Attributes:
        model: The network as Paddle's ``Model``.
        was_complete: Whether the run that ``fit`` resumed had already trained all its epochs.

    Example:
        >>> from toolkit import Trainer, load_config
        >>> result = Trainer.from_config(load_config("configs/quickstart.yaml")).fit()  # doctest: +SKIP
        >>> result.best["top1"]  # doctest: +SKIP
    """

    def __init__(self, job: Job, callbacks: Sequence[Callback] = ()) -> None:
        check_network(job)
        self.job = job
        self.was_complete = False
        self._more_callbacks = tuple(callbacks)
        self._run: TrainingRun | None = None
        self._folder: RunFolder | None = None
        network, size = job.network, job.preprocessing.image_size
        self.model = single_model(
            network,
            inputs=[InputSpec([None, job.preprocessing.channels, size, size], "float32", "image")],
            labels=[job.objective.label_spec(network.num_classes)],
        )

    @classmethod
    def from_config(cls, config: Config) -> Trainer:
        """Build the job of a config and a trainer for it; see ``build_job``.

        Raises:
            ToolkitError: The config does not fit the data, the network or the machine.
        """
        return cls(build_job(config))

    @property
    def folder(self) -> RunFolder:
        """The folder of the run.

        Raises:
            TrainingError: ``fit`` has not opened a folder yet.
        """
        if self._folder is None:
            raise TrainingError("the run has no folder yet", hint="call fit first")
        return self._folder

    @property
    def state(self) -> TrainingState:
        """The state of the run; an initial state if ``fit`` has not trained anything."""
        return self._run.state if self._run is not None else TrainingState()

    def fit(self, resume: Path | str | None = None) -> RunResult:
        """Train all phases, keep the best and the last epoch, and check that frozen stages did not change.

        Args:
            resume: Folder of an interrupted run of the same config, to continue from its newest checkpoint;
                ``auto`` for the newest unfinished one, if any.

        Returns:
            The result. The network holds the best epoch's weights.

        Raises:
            Interrupted: Ctrl-C or SIGTERM arrived; the message says how to resume.
            ConfigError: A user callback cannot be created, or the run to resume has another config.
            TrainingError: The loss became NaN, frozen weights changed, or another process trains in the run's folder.
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
        self._folder, self.was_complete = opened.folder, opened.complete
        if opened.resumed:
            job = self.job = seen_as_before(job, opened.folder)
        try:
            if opened.complete:
                return recorded_result(job, opened.folder)
            with stop_requests() as request:
                run = self._run = TrainingRun(job, self.model, opened.folder, request, custom)
                run.begin(resumed=opened.resumed)
                run.train()
            with resumable(opened.folder):
                return run.finish()
        finally:
            if opened.lock is not None:
                opened.lock.release()


class TrainingRun:
    """A run: its state, its folder, and its phases in sequence.

    Args:
        job: A job whose plan is fully settled.
        model: The job's network.
        folder: The run's locked folder.
        request: Tells whether the end was requested.
        custom: The user's own callbacks.
    """

    def __init__(
        self, job: Job, model: paddle.Model, folder: RunFolder, request: StopRequest, custom: Sequence[Callback]
    ) -> None:
        self.job, self.model, self.folder, self.request = job, model, folder, request
        self.state = TrainingState()
        self.checkpoints = CheckpointManager(folder, model_facts(job).to_dict())
        self._phase: PhaseRun | None = None
        self._validation: Validation | None = None
        self.callbacks = build_callbacks(job, folder, model, self._keep_best, self._standard_error, custom)

    def begin(self, *, resumed: bool) -> None:
        """Start the record, or load the state of the resumed run."""
        job, folder = self.job, self.folder
        show(data_table(job.data))
        if resumed:
            state = load_newest(folder)
            if not check_best(folder, state):
                warn(f"{folder.best} is damaged or missing; the best epoch is chosen among future ones")
                state.best = None
                state.callbacks.pop("Checkpoint", None)
            if state.phase == len(job.plan.phases) and state.planned < job.plan.epochs:
                state.phase -= 1  # the config has more epochs now
            self.checkpoints.snapshot(state)
            self._go_back()
            info(f"resuming {folder.path} {self.state.position(job.plan)}")
        else:
            show(plan_table(job.plan, job.stages, job.head_parameters))
        folder.write_record(describe_run(job, self.state, folder.read_record() if resumed else {}))
        if not resumed:
            self.snapshot(write=True)

    def train(self) -> None:
        """Train all phases; saves as much as possible however the training ends.

        Raises:
            Interrupted: The end was requested.
            TrainingError: The loss became NaN or infinite, frozen weights changed, or a callback raised an error.
        """
        try:
            self.callbacks.call("on_train_begin")
            while self.state.phase < len(self.job.plan.phases):
                self._train_phase()
                self.stop_if_asked(between_steps=False)
            self.callbacks.call("on_train_end")
        except StopTraining as stop:
            self.snapshot(write=True)
            raise Interrupted(
                f"{stop.signal_name}: stopped; {self.folder.last} was written {self.state.position(self.job.plan)}",
                hint=f"resume with: {self.folder.resume_command}{self.folder.use_commands}",
            ) from None
        except Exception as error:
            trained = self._phase is not None and self._phase.settled is not None
            if trained and self.state.step and not isinstance(error, DivergedError):
                self.snapshot()  # the evaluation follows at resume
            self._write_after_error()
            raise
        finally:
            self.callbacks.close()

    def finish(self) -> RunResult:
        """Measure the best epoch and close the record."""
        result = make_result(self.job, self.folder, self.state, self.callbacks.checkpoint)
        self.callbacks.finish(result)
        self.folder.write_record(finish_record(self.folder.read_record(), self.state, result))
        return result

    def stop_if_asked(self, *, between_steps: bool = True) -> None:
        """End the run if requested; several processes end between two epochs, which they all reach.

        Raises:
            StopTraining: The end was requested.
        """
        alone, wanted = world_size() == 1, self.request.asked
        asked = wanted if alone else not between_steps and sums([float(wanted)])[0] > 0
        if asked:
            raise StopTraining(self.request.signal_name or "another process")

    def snapshot(self, *, write: bool = False) -> None:
        """Take a snapshot of everything, and optionally write it.

        Raises:
            ToolkitError: The disk is full or not writable; existing files stay.
        """
        state, by_hand = self.state, self.job.network.by_hand
        settled = self._phase.settled if self._phase is not None else None
        state.planned = self.job.plan.epochs
        state.stopping = bool(self.model.stop_training if settled is None else settled.stopping)
        state.weights = _arrays(self.job.network)
        state.held, state.evaluating = sorted(by_hand.held), sorted(by_hand.evaluating)
        if settled is not None:
            state.callbacks, state.averages = settled.callbacks, settled.averages
        elif state.epoch or state.step:
            state.callbacks, state.averages = self.callbacks.state(), self.callbacks.arrays()
        if self._phase is not None:
            self._phase.note()
        self.checkpoints.snapshot(state)
        if write:
            self.checkpoints.write()

    def validate(self, batches: Callable[[], Iterable[Batch]]) -> dict[str, float]:
        """Compute the metrics of the validation images."""
        self._validation = validate(self.job, batches, self.callbacks.averaging)
        return self._validation.metrics

    def _train_phase(self) -> None:
        """Train a phase; if the loss becomes NaN or infinite and the config allows it, roll back and halve the rate."""
        for left in range(_MOST_BACKOFFS, -1, -1):
            try:
                self._phase = PhaseRun(self, self.job.plan.phases[self.state.phase])
                self._phase.train()
                return self._end_phase()
            except DivergedError as error:
                if self.job.config.train.on_nan == "stop" or not left:
                    raise
                self._phase = None
                self.checkpoints.latest.lr_scale *= 0.5
                self._go_back()
                warn(f"{error.message}; continuing {self.state.position(self.job.plan)} with half the learning rate")
                self.callbacks.call("on_train_begin")

    def _end_phase(self) -> None:
        """Mark a phase as finished; the last one's optimizer is kept, in case more epochs are added later."""
        state = self.state
        state.phase += 1
        if state.phase < len(self.job.plan.phases):
            state.phase_epoch, state.lr_scale, state.optimizer, state.scaler = 0, 1.0, {}, {}
            self._phase = None
        self.snapshot(write=True)
        self._phase = None

    def _go_back(self) -> None:
        """Restore the latest snapshot."""
        self.state = self.checkpoints.restore()
        put_back(self.job.network, self.state)
        self.folder.keep_metrics_until(self.state.epoch)
        self.callbacks.restore(self.state.callbacks, self.state.averages)

    def _write_after_error(self) -> None:
        """Write the last complete state if possible; the original error is reported by its raiser."""
        try:
            self.checkpoints.write()
        except (ToolkitError, OSError):
            where = f"{self.folder.last} could not be written again" if self.folder.has_checkpoint else ""
        else:
            self.state = self.checkpoints.restore()
            where = f"{self.folder.last} was written {self.state.position(self.job.plan)}"
        if where:
            info(f"{where}; when the error is fixed, resume with: {self.folder.resume_command}")

    def _keep_best(self) -> None:
        averages = self._validation.averages if self._validation is not None else None
        self.state.best = self.state.last
        self.checkpoints.keep_best({**_arrays(self.job.network), **(averages or {})})

    def _standard_error(self, metric: str) -> float | None:
        return self._validation.error(metric) if self._validation is not None else None


def _arrays(network: paddle.nn.Layer) -> dict[str, NDArray[Any]]:
    """Copies of all weights and statistics."""
    return {key: value.numpy().copy() for key, value in network.state_dict().items()}
