"""The callbacks of a run: made from the config, called in order, saved and restored together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import paddle
from paddle.callbacks import Callback

from toolkit.callbacks import (
    Checkpoint,
    EarlyStopping,
    MonitorCallback,
    ReduceLROnPlateau,
    TerminateOnNaN,
    VisualDLLogger,
    load_custom,
)
from toolkit.config import Config, PlateauConfig
from toolkit.data import as_rgb
from toolkit.engine.job import Job
from toolkit.engine.reporter import Reporter
from toolkit.engine.result import RunResult
from toolkit.engine.run_folder import RunFolder
from toolkit.stage import StageInfo
from toolkit.transfer import PhasePlan

__all__ = ["CallbackFan", "as_paddle_logs", "build_callbacks", "custom_callbacks", "metric_names"]


def as_paddle_logs(logs: dict[str, float]) -> dict[str, float]:
    """Logs with top-1 under Paddle's name for it, ``acc``, as well."""
    return {**logs, "acc": logs["top1"]} if "top1" in logs else logs


def metric_names(job: Job) -> list[str]:
    """Names of the metrics in the logs of a job's evaluations."""
    return list(as_paddle_logs(dict.fromkeys((metric.name for metric in job.objective.task.metrics), 0.0)))


class CallbackFan:
    """Calls every callback in the order of the list.

    Args:
        callbacks: Any callbacks of Paddle's protocol.
        model: What they act on.
        job: The run's job, for hyper-parameters and sample images.
    """

    def __init__(self, callbacks: Sequence[Callback], model: paddle.Model, job: Job) -> None:
        self._callbacks = tuple(callbacks)
        self._job = job
        for callback in self._callbacks:
            callback.set_model(model)
        self._set_params(len(job.loader(job.data.train, training=True)))

    def _set_params(self, steps: int) -> None:
        params = {
            "batch_size": self._job.config.data.batch_size,
            "epochs": self._job.plan.epochs,
            "steps": steps,
            "verbose": 0,
            "metrics": metric_names(self._job),
        }
        for callback in self._callbacks:
            callback.set_params(params)

    def call(self, hook: str, *args: Any) -> None:
        """Call one hook of Paddle's protocol on all of them."""
        for callback in self._callbacks:
            getattr(callback, hook)(*args)

    def start_phase(self, phase: PhasePlan, stages: Sequence[StageInfo], *, steps: int, resumed: bool) -> None:
        """Tell what comes: steps an epoch, who learns at which rate, and whether the phase goes on where it was."""
        groups = {stage.name: rate for stage, rate in zip(stages, phase.multipliers, strict=True) if rate}
        self._set_params(steps)
        for callback in self._callbacks:
            if isinstance(callback, MonitorCallback) and not resumed:
                callback.start_phase()
            if isinstance(callback, VisualDLLogger):
                callback.set_groups({"head": 1.0, **_rate_groups(groups)})

    def state(self) -> dict[str, Any]:
        """State of each callback that has one, keyed by its place and class."""
        return {key: callback.state_dict() for key, callback in self._stateful()}

    def restore(self, states: dict[str, Any]) -> None:
        """Put back what ``state`` took; callbacks that were not there then start anew."""
        for key, callback in self._stateful():
            if key in states:
                callback.set_state_dict(states[key])

    def _stateful(self) -> list[tuple[str, Any]]:
        return [
            (f"{index}:{type(callback).__name__}", callback)
            for index, callback in enumerate(self._callbacks)
            if hasattr(callback, "state_dict") and hasattr(callback, "set_state_dict")
        ]

    def finish(self, result: RunResult) -> None:
        """Record the final metrics beside the hyper-parameters, and close files."""
        for callback in self._callbacks:
            if isinstance(callback, VisualDLLogger):
                callback.hparams(
                    _hyper_parameters(self._job),
                    {metric.name: result.best.get(metric.name) for metric in self._job.objective.task.metrics},
                )
                callback.close()

    def close(self) -> None:
        """Give back the terminal and open files; also after an error."""
        for callback in self._callbacks:
            if isinstance(callback, (Reporter, VisualDLLogger)):
                callback.close()


def custom_callbacks(config: Config) -> list[Callback]:
    """The user's own callbacks.

    Raises:
        ConfigError: One of them cannot be made.
    """
    return [load_custom(custom.path, custom.args) for custom in config.callbacks.custom]


def build_callbacks(
    job: Job,
    folder: RunFolder,
    model: paddle.Model,
    save_best: Callable[[], None],
    custom: Sequence[Callback] = (),
) -> CallbackFan:
    """The callbacks that a config asks for, those that every run has, and the user's own."""
    config = job.config
    wanted = config.callbacks
    callbacks: list[Callback] = [TerminateOnNaN(), Reporter(job.plan.epochs, len(job.data.train), job.objective.task)]
    if config.log.visualdl:
        logger = VisualDLLogger(folder.visualdl, config.log.every)
        _show_samples(logger, job)
        callbacks.append(logger)
    callbacks += custom
    plateau = wanted.reduce_on_plateau or (PlateauConfig() if config.train.schedule == "plateau" else None)
    if plateau is not None:
        callbacks.append(ReduceLROnPlateau(**plateau.model_dump()))
    if wanted.early_stopping is not None:
        callbacks.append(EarlyStopping(**wanted.early_stopping.model_dump()))
    checkpoint = wanted.checkpoint.model_dump()
    checkpoint["monitor"] = checkpoint["monitor"] or f"val/{job.objective.task.main.name}"
    callbacks.append(Checkpoint(save_best, **checkpoint))
    return CallbackFan(callbacks, model, job)


def _rate_groups(rates: dict[str, float]) -> dict[str, float]:
    """One curve for stages that learn alike: named after the first and the last of them."""
    groups: dict[float, list[str]] = {}
    for stage, rate in rates.items():
        groups.setdefault(rate, []).append(stage)
    return {names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}": rate for rate, names in groups.items()}


def _show_samples(logger: VisualDLLogger, job: Job) -> None:
    """The first training images of the first epoch, as the network sees them."""
    count = min(job.config.log.sample_images, len(job.data.train))
    if count:
        loader = job.loader(job.data.train, training=True)
        first = np.concatenate(loader.index_batches())[:count]
        logger.add_images(np.stack([as_rgb(loader.view(int(index))) for index in first]))


def _hyper_parameters(job: Job) -> dict[str, Any]:
    config, plan = job.config, job.plan
    last = plan.phases[-1]
    return {
        "network": config.model.name,
        "preset": plan.title,
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
