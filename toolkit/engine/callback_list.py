"""Call every callback of a run in order, and save and restore them together."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import paddle
from numpy.typing import NDArray
from paddle import Tensor
from paddle.callbacks import Callback

from toolkit.callbacks import Checkpoint, LambdaCallback, VisualDLLogger, WeightAveraging
from toolkit.core.errors import ToolkitError, TrainingError
from toolkit.core.stages import StageInfo
from toolkit.data import Batch
from toolkit.engine.job import Job
from toolkit.engine.runs.result import RunResult
from toolkit.engine.visuals import show_findings

_PACKAGE = Path(__file__).resolve().parents[1]
_PADDLES_STATE: dict[type[Callback], tuple[str, ...]] = {
    paddle.callbacks.EarlyStopping: ("wait_epoch", "best_value", "stopped_epoch"),
    paddle.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter", "epoch"),
    paddle.callbacks.VisualDL: ("train_step",),
}
"""Counters of Paddle's own callbacks. ``on_train_begin`` resets them, so they are restored afterwards."""


class _PaddleNumber(float):
    """A float that also supports ``[0]``, because Paddle's ``fit`` passes a loss as a list with one number."""

    def __getitem__(self, index: int) -> float:
        return [float(self)][index]


def as_paddle_logs(logs: Mapping[str, float]) -> dict[str, float]:
    """Logs for callbacks written for Paddle's ``fit``: supports ``logs["loss"][0]``, and adds top-1 as ``acc``."""
    known = dict(logs)
    if "loss" in known:
        known["loss"] = _PaddleNumber(known["loss"])
    return {**known, "acc": known["top1"]} if "top1" in known else known


def metric_names(job: Job) -> list[str]:
    """Names of the metrics in the logs of a job's evaluations."""
    own = list(as_paddle_logs(dict.fromkeys((metric.name for metric in job.objective.task.metrics), 0.0)))
    kinds = ("raw", "avg") if job.config.callbacks.weight_averaging is not None else ()
    return [*own, *(f"{kind}_{metric.name}" for kind in kinds for metric in job.objective.task.metrics)]


class CallbackList:
    """Calls every callback in order.

    Besides Paddle's protocol, callbacks of the toolkit may define the following optional hooks: ``start_phase()`` and
    ``resume_phase()`` (a phase starts, or resumes in a resumed run), ``end_phase()`` (it ends),
    ``set_groups(multipliers)`` (which groups learn at which rate), ``place_phase(index, done, start_stage)`` (the
    phase's index, its finished epochs, and the stage at which its inputs start) and ``close()`` (release files and
    threads, also after an error). Any callback, including a user's, may have ``state_dict()`` and
    ``set_state_dict(state)`` (plain JSON values), and ``arrays()`` and ``set_arrays(arrays)``.

    Args:
        callbacks: Any callbacks that follow Paddle's protocol.
        model: The model that they act on.
        job: The run's job, for hyper-parameters.
    """

    def __init__(self, callbacks: Sequence[Callback], model: paddle.Model, job: Job) -> None:
        self._callbacks = tuple(callbacks)
        self._job = job
        self._epoch: int | None = None
        self._paddles_states: dict[str, dict[str, Any]] = {}
        self.set_model(model)
        self._set_params(len(job.loader(job.data.train, training=True, shared=True)))

    def set_model(self, model: paddle.Model) -> None:
        """Set the model that the callbacks act on from now on."""
        self._each("set_model", model)

    def _set_params(self, steps: int) -> None:
        params = {
            "batch_size": self._job.config.data.batch_size,
            "epochs": self._job.plan.epochs,
            "steps": steps,
            "verbose": 0,
            "metrics": metric_names(self._job),
        }
        self._each("set_params", params)

    def call(self, hook: str, *args: Any) -> None:
        """Call a hook of Paddle's protocol on all callbacks; like Paddle, always with logs.

        Raises:
            TrainingError: A callback outside the toolkit raised an exception, which is the error's cause.
        """
        if not (args and isinstance(args[-1], Mapping)):
            args = (*args, {})
        if hook == "on_epoch_begin":
            self._epoch = args[0]
        self._each(hook, *args)
        if hook == "on_train_begin":
            self._restore_paddles_own()

    def told(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches of an evaluation, notifying the callbacks at the start and end of each."""
        for step, batch in enumerate(batches):
            logs = {"step": step, "batch_size": len(batch.labels)}
            self.call("on_eval_batch_begin", step, logs)
            yield batch
            self.call("on_eval_batch_end", step, logs)

    @property
    def averaging(self) -> WeightAveraging | None:
        """The callback that keeps an average of the weights, if there is one."""
        return next((callback for callback in self._callbacks if isinstance(callback, WeightAveraging)), None)

    @property
    def checkpoint(self) -> Checkpoint:
        """The callback that chooses the best epoch; every run has it."""
        return next(callback for callback in reversed(self._callbacks) if isinstance(callback, Checkpoint))

    def watch(self, step: int) -> Callable[[Mapping[str, Tensor]], None] | None:
        """A function that passes a step's gradients to the callbacks that want them (step from 0), or None.

        It is called with parameter path -> gradient, after backward and before the update.
        """
        wanting = [c for c in self._callbacks if isinstance(c, VisualDLLogger) and c.wants_gradients(step)]
        if not wanting:
            return None

        def show(gradients: Mapping[str, Tensor]) -> None:
            arrays = {path: gradient.astype("float32").numpy() for path, gradient in gradients.items()}
            for callback in wanting:
                callback.add_gradients(arrays)

        return show

    def start_phase(
        self, index: int, stages: Sequence[StageInfo], *, steps: int, done: int, start_stage: int, resumed: bool
    ) -> None:
        """Announce a phase: its index, steps per epoch, learning rates, and whether it resumes."""
        phase = self._job.plan.phases[index]
        rates = {stage.name: rate for stage, rate in zip(stages, phase.multipliers, strict=True) if rate}
        self._set_params(steps)
        self._optional("resume_phase" if resumed else "start_phase")
        self._optional("set_groups", {"head": 1.0, **_rate_groups(rates)})
        self._optional("place_phase", index, done, start_stage)

    def end_phase(self) -> None:
        """Announce the end of a phase, before its last state is saved and its optimizer is dropped."""
        self._optional("end_phase")

    def state(self) -> dict[str, Any]:
        """State of each callback that has one, keyed by class (plus a number from the second of a class on)."""
        states = {}
        for key, callback in self._keyed():
            if _is_stateful(callback):
                states[key] = self._guarded(callback, "state_dict")
            elif names := _paddles_fields(callback):
                states[key] = {name: getattr(callback, name) for name in names if hasattr(callback, name)}
        return states

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of each callback that has any, keyed ``<callback>/<name>``; saved beside ``state``."""
        return {
            f"{key}/{name}": array
            for key, callback in self._keyed()
            if hasattr(callback, "arrays")
            for name, array in self._guarded(callback, "arrays").items()
        }

    def restore(self, states: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Restore the results of ``state`` and ``arrays``; callbacks that are new since then start over."""
        for key, callback in self._keyed():
            if key not in states:
                continue
            if _is_stateful(callback):
                self._guarded(callback, "set_state_dict", states[key])
            elif _paddles_fields(callback):
                self._paddles_states[key] = states[key]
            if hasattr(callback, "set_arrays"):
                own = {name[len(key) + 1 :]: a for name, a in (arrays or {}).items() if name.startswith(f"{key}/")}
                self._guarded(callback, "set_arrays", own)

    def finish(self, result: RunResult) -> None:
        """Record the final metrics with the hyper-parameters, and close files."""
        metrics = {metric.name: result.best.get(metric.name) for metric in self._job.objective.task.metrics}
        for callback in self._callbacks:
            if isinstance(callback, VisualDLLogger):
                callback.hparams(hyper_parameters(self._job), metrics)
                show_findings(callback, self._job, int(result.best.get("epoch", 0)))
        self.close()

    def close(self) -> None:
        """Release the terminal, open files and threads; also after an error."""
        self._optional("close")

    def _keyed(self) -> Iterator[tuple[str, Any]]:
        seen: dict[str, int] = {}
        for callback in self._callbacks:
            name = getattr(callback, "state_key", None) or type(callback).__name__
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name} {seen[name]}"), callback

    def _restore_paddles_own(self) -> None:
        for key, callback in self._keyed():
            for name, value in self._paddles_states.pop(key, {}).items():
                setattr(callback, name, value)

    def _each(self, hook: str, *args: Any) -> None:
        for callback in self._callbacks:
            self._guarded(callback, hook, *args)

    def _optional(self, hook: str, *args: Any) -> None:
        for callback in self._callbacks:
            if any(_is_ours(base) for base in type(callback).__mro__) and hasattr(callback, hook):
                self._guarded(callback, hook, *args)

    def _guarded(self, callback: Callback, hook: str, *args: Any) -> Any:
        """Call a hook; errors of user code are reported with its name and location."""
        try:
            return getattr(callback, hook)(*args)
        except ToolkitError:
            raise
        except Exception as error:  # user code may raise anything
            kind = type(callback)
            if _is_ours(kind) and not isinstance(callback, LambdaCallback):
                raise
            when = "" if self._epoch is None else f", epoch {self._epoch + 1}"
            words = str(error).strip().splitlines()
            raise TrainingError(
                f"callback {kind.__module__}.{kind.__qualname__} failed in {hook}{when}: "
                f"{type(error).__name__}{': ' + words[0] if words else ''} ({_place(error, kind)})",
                hint="fix the callback, or omit it",
            ) from error


def _place(error: Exception, kind: type) -> str:
    """File and line of the failure, in the user's own code if it was involved."""
    frames = traceback.extract_tb(error.__traceback__)
    if _is_ours(kind):  # a user's function in our callback: report its entry, or the user code that it called
        user = next((frame.filename for frame in frames if not Path(frame.filename).is_relative_to(_PACKAGE)), None)
    else:
        user = getattr(sys.modules.get(kind.__module__), "__file__", None)
    frame = ([frame for frame in frames if frame.filename == user] or frames)[-1]
    return f"{frame.filename}:{frame.lineno}"


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "toolkit"


def _is_stateful(callback: Callback) -> bool:
    return hasattr(callback, "state_dict") and hasattr(callback, "set_state_dict")


def _paddles_fields(callback: Callback) -> tuple[str, ...]:
    return next((names for kind, names in _PADDLES_STATE.items() if isinstance(callback, kind)), ())


def _rate_groups(rates: dict[str, float]) -> dict[str, float]:
    """A single curve for stages with equal rates, named after the first and the last."""
    groups: dict[float, list[str]] = {}
    for stage, rate in rates.items():
        groups.setdefault(rate, []).append(stage)
    return {names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}": rate for rate, names in groups.items()}


def hyper_parameters(job: Job) -> dict[str, Any]:
    """The hyper-parameters by which runs are compared."""
    config, plan = job.config, job.plan
    last = plan.phases[-1]
    return {
        "network": config.model.name,
        "preset": plan.preset,
        "frozen stages": last.frozen,
        "epochs": plan.epochs,
        "learning rate": last.lr,
        "optimizer": plan.optimizer,
        "schedule": config.train.schedule,
        "weight decay": config.train.weight_decay,
        "batch size": config.data.batch_size,
        "augment": plan.augment,
        "image size": job.preprocessing.image_size,
        "training images": len(job.data.train),
        "seed": config.seed,
    }
