"""The trainer: phases, epochs and steps on ``paddle.Model``, with everything recorded in the run's folder."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle.static import InputSpec

from toolkit.config import Config
from toolkit.console import info, show
from toolkit.data import Batch
from toolkit.engine.callbacks import as_paddle_logs, build_callbacks, custom_callbacks, metric_names
from toolkit.engine.evaluate import evaluate
from toolkit.engine.features import FeatureLoader
from toolkit.engine.inputs import Batches, PhaseInputs, prepare_inputs
from toolkit.engine.job import Job, build_job
from toolkit.engine.optimizer import make_optimizer, optimizer_state, restore_optimizer
from toolkit.engine.record import describe_run, finish_record, make_result
from toolkit.engine.result import RunResult
from toolkit.engine.run_folder import RunFolder
from toolkit.engine.schedule import LearningRate
from toolkit.engine.signals import resumable, stop_requests
from toolkit.engine.solve import check_solver, solve_head
from toolkit.engine.state import TrainingState
from toolkit.errors import Interrupted, ToolkitError, TrainingError
from toolkit.files import clear_os_errors
from toolkit.transfer import PhasePlan, fingerprint, moved, plan_table, set_multipliers
from toolkit.zoo import write_weights

__all__ = ["Trainer"]

_WRITING_SHARE = 10
"""Training time between two writes of the checkpoints, as a multiple of the time that the last one took."""


class Trainer:
    """Trains a job's network by its plan.

    Args:
        job: Data, network and plan.

    Example:
        >>> from toolkit import Trainer, load_config
        >>> result = Trainer.from_config(load_config("configs/quickstart.yaml")).fit()  # doctest: +SKIP
        >>> result.best["top1"]  # doctest: +SKIP
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        network, size = job.network, job.preprocessing.image_size
        self.model = paddle.Model(
            network,
            inputs=[InputSpec([None, job.preprocessing.channels, size, size], "float32", "image")],
            labels=[job.objective.label_spec(network.num_classes)],
        )
        self.state = TrainingState()
        self._best_weights: dict[str, NDArray[Any]] = {}
        self._next_write = 0.0

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
            resume: Folder of an interrupted run of the same config, to go on after its last whole epoch.

        Returns:
            What came out. The network holds the best epoch's weights.

        Raises:
            Interrupted: Ctrl-C or SIGTERM came; the message says how to resume.
            ConfigError: A callback of the user's cannot be made, or the run to resume has another config.
            TrainingError: The loss became NaN, or frozen weights moved.
            ToolkitError: The run's folder cannot be written.
        """
        job = self.job
        check_solver(job)
        custom = custom_callbacks(job.config)  # a wrong one leaves no folder behind
        self.folder = RunFolder.open(resume, job.config) if resume else RunFolder.create(job.config)
        with stop_requests() as self._request:
            self._begin(resumed=resume is not None)
            self._callbacks = build_callbacks(job, self.folder, self.model, self._keep_best, custom)
            self._callbacks.restore(self.state.callbacks)
            try:
                self._run_phases()
            except Interrupted:
                raise
            except Exception:
                self._keep_after_error()
                raise
            finally:
                self._callbacks.close()
        with resumable(self.folder):
            return self._finish()

    def _begin(self, *, resumed: bool) -> None:
        job, folder = self.job, self.folder
        if resumed:
            self.state = TrainingState.load(folder.last)
            job.network.set_state_dict(self.state.weights)
            folder.keep_metrics_until(self.state.epoch)
            done = self.state.phase == len(job.plan.phases)
            info(f"resuming {folder.path} after epoch {self.state.epoch}{': its training is complete' if done else ''}")
        else:
            show(plan_table(job.plan, job.stages, job.head_parameters))
        folder.write_record(describe_run(job, self.state))
        if not resumed:
            self._keep_last()

    def _run_phases(self) -> None:
        self._callbacks.call("on_train_begin")
        while self.state.phase < len(self.job.plan.phases):
            self._run_phase(self.job.plan.phases[self.state.phase])
            self._stop_if_asked()
        self._callbacks.call("on_train_end")

    def _run_phase(self, phase: PhasePlan) -> None:
        job, state, network = self.job, self.state, self.job.network
        network.freeze(phase.frozen)
        set_multipliers([network.stage_parameters(i) for i in range(len(job.stages))], phase.multipliers)
        inputs = prepare_inputs(job, phase, job.plan.phases[state.phase + 1 :], self._stop_if_asked)
        optimizer = make_optimizer(job.plan.optimizer, job.config.train, network, phase.lr)
        self.model.prepare(optimizer, job.objective, job.objective.running())
        rate = LearningRate(optimizer, job.config.train, phase.lr, len(inputs.training), phase.epochs)
        if state.phase_epoch:
            restore_optimizer(optimizer, network, state.optimizer)
            rate.scale = state.lr_scale
        before = fingerprint(self._frozen_state(phase))
        self.model.stop_training = False
        self._callbacks.start_phase(phase, job.stages, steps=len(inputs.training), resumed=state.phase_epoch > 0)
        with network.entering_at(inputs.entry):
            while state.phase_epoch < phase.epochs and not self.model.stop_training:
                self._run_epoch(inputs, rate, phase)
        self._prove_unmoved(phase, before)
        state.phase, state.phase_epoch, state.lr_scale, state.optimizer = state.phase + 1, 0, 1.0, {}
        self._keep_last(write=True)

    def _run_epoch(self, inputs: PhaseInputs, rate: LearningRate, phase: PhasePlan) -> None:
        state, call, began = self.state, self._callbacks.call, time.monotonic()
        training, validation = inputs.training, inputs.validation
        training.set_epoch(state.epoch)
        call("on_epoch_begin", state.epoch)
        solved = phase.solver == "exact"
        train = self._solve(training, validation) if solved else self._train_steps(training, rate)
        call("on_epoch_end", state.epoch, as_paddle_logs(train))
        call("on_eval_begin", {"steps": len(validation), "metrics": metric_names(self.job)})
        val = evaluate(self.model, self._stoppable(validation), self.job.objective)
        state.last = {**val, "epoch": state.epoch + 1}
        call("on_eval_end", as_paddle_logs(val))
        rate.note_changes()
        seconds = time.monotonic() - began
        self.folder.append_metrics(
            {"epoch": state.epoch + 1, "phase": phase.name, "train": train, "val": val, "seconds": round(seconds, 3)}
        )
        state.epoch, state.phase_epoch = state.epoch + 1, state.phase_epoch + 1
        state.seconds, state.lr_scale = state.seconds + seconds, rate.scale
        self._keep_last()

    def _train_steps(self, training: Batches, rate: LearningRate) -> dict[str, float]:
        sums, seen = dict.fromkeys(("loss", *self.job.objective.task.training), 0.0), 0
        first = self.state.phase_epoch * len(training)
        for step, batch in enumerate(self._stoppable(training)):
            self._callbacks.call("on_train_batch_begin", step)
            rate.before_step(first + step)
            paddle.seed(_step_seed(self.job.config.seed, self.state.epoch, step))
            found = self._step(batch)
            count = len(batch.labels)
            sums, seen = {name: sums[name] + value * count for name, value in found.items()}, seen + count
            means = {name: value / seen for name, value in sums.items()}
            logs = {**means, "loss": found["loss"], "lr": rate.value, "seen": seen}
            self._callbacks.call("on_train_batch_end", step, as_paddle_logs(logs))
        return {**means, "lr": rate.value}

    def _solve(self, training: Batches, validation: Batches) -> dict[str, float]:
        if not isinstance(training, FeatureLoader) or not isinstance(validation, FeatureLoader):
            raise TrainingError(
                "the features are too large to keep", hint="leave train.solver out, or raise cache.max_size"
            )
        solution = solve_head(self.job, training, validation, self._stop_if_asked)
        self.folder.write_record({**self.folder.read_record(), "solver": solution.to_json()})
        found = solution.best.train
        return {**{name: found[name] for name in ("loss", *self.job.objective.task.training)}, "lr": 0.0}

    def _step(self, batch: Batch) -> dict[str, float]:
        """Loss, and the metrics of training batches."""
        done = self.model.train_batch([batch.inputs], [batch.labels])
        losses, metrics = done if self.job.objective.task.training else (done, [])
        values = [float(np.asarray(value).reshape(-1)[0]) for value in (losses[0], *metrics)]
        return dict(zip(("loss", *self.job.objective.task.training), values, strict=True))

    def _stoppable(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same batches; after each of them the run may end."""
        for batch in batches:
            yield batch
            self._stop_if_asked()

    def _stop_if_asked(self) -> None:
        if self._request.signal_name:
            self._write_checkpoints()
            raise Interrupted(
                f"{self._request.signal_name}: stopped; {self.folder.last} holds the end of epoch {self.state.epoch} "
                f"of {self.job.plan.epochs}",
                hint=f"go on with: {self.folder.resume_command}",
            )

    def _keep_after_error(self) -> None:
        """Save the last whole epoch, where that is possible; the error itself is told by who raised it."""
        with suppress(ToolkitError, OSError):
            self._write_checkpoints()
            info(
                f"{self.folder.last} holds the end of epoch {self.state.epoch}; when the error is mended, go on with: "
                f"{self.folder.resume_command}"
            )

    def _frozen_state(self, phase: PhasePlan) -> Mapping[str, Any]:
        network = self.job.network
        return {key: value for i in range(phase.frozen) for key, value in network.stage_state(i).items()}

    def _prove_unmoved(self, phase: PhasePlan, before: Mapping[str, str]) -> None:
        changed = moved(before, fingerprint(self._frozen_state(phase)))
        proof = {"phase": phase.name, "frozen_stages": phase.frozen, "arrays_checked": len(before), "moved": changed}
        self.state.proof.append(proof)
        if changed:
            raise TrainingError(
                f"{len(changed)} arrays of frozen stages moved in phase {phase.name}: {', '.join(changed[:3])}",
                hint="a callback or custom code must have changed them",
            )

    def _keep_best(self) -> None:
        self.state.best = self.state.last
        self._best_weights = self._weights()

    def _keep_last(self, *, write: bool = False) -> None:
        """Note the state after an epoch; write it too, unless that would take more than a tenth of the time."""
        state, network = self.state, self.job.network
        state.weights = self._weights()
        optimizer = self.model._optimizer
        state.optimizer = optimizer_state(optimizer, network) if optimizer and state.phase_epoch else {}
        state.callbacks = self._callbacks.state() if state.epoch else {}
        if write or time.monotonic() >= self._next_write:
            self._write_checkpoints()

    def _write_checkpoints(self) -> None:
        began = time.monotonic()
        if self._best_weights:
            with clear_os_errors(f"the checkpoint {self.folder.best}"):
                write_weights(self._best_weights, self.folder.best)
            self._best_weights = {}
        self.state.save(self.folder.last)
        now = time.monotonic()
        self._next_write = now + _WRITING_SHARE * (now - began)

    def _weights(self) -> dict[str, NDArray[Any]]:
        return {key: value.numpy().copy() for key, value in self.job.network.state_dict().items()}

    def _finish(self) -> RunResult:
        result = make_result(self.job, self.folder, self.state, self.model)
        self._callbacks.finish(result)
        self.folder.write_record(finish_record(self.folder.read_record(), self.state, result))
        return result


def _step_seed(seed: int, epoch: int, step: int) -> int:
    """Dropout's seed as a function of the position in the run."""
    return int(np.random.SeedSequence([seed, epoch, step]).generate_state(1)[0])
