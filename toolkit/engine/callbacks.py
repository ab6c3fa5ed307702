"""The callbacks of a run, built from the config by a table of builders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import paddle
from paddle.callbacks import Callback

from toolkit.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    JSONLLogger,
    LambdaCallback,
    ModelCheckpoint,
    ReduceLROnPlateau,
    RemoteMonitor,
    TerminateOnNaN,
    VisualDLLogger,
    WeightAveraging,
    load_custom,
    load_function,
    read_token,
)
from toolkit.config import Config, MonitorConfig, PlateauConfig
from toolkit.config.file_pattern import full_path
from toolkit.engine.callback_list import CallbackList
from toolkit.engine.job import Job
from toolkit.engine.learning.optimizer import optimizer_state
from toolkit.engine.learning.uncertainty import preliminary_phases
from toolkit.engine.progress import Reporter
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.time_left import TimeLeft
from toolkit.engine.visuals import show_graph, show_samples
from toolkit.zoo import write_weights


@dataclass(frozen=True)
class Setting:
    """The input of the builders.

    Attributes:
        job: The run's job.
        folder: The run's folder.
        model: The model that the callbacks act on.
        save_best: Stores the network's weights as the best so far.
        error: Returns the standard error of a metric in the last evaluation, or None.
        custom: The user's own callbacks.
    """

    job: Job
    folder: RunFolder
    model: paddle.Model
    save_best: Callable[[], None]
    error: Callable[[str], float | None]
    custom: Sequence[Callback]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The callback that decides which epoch is best."""
        wanted = self.job.config.callbacks.deciding.model_dump(include=set(MonitorConfig.model_fields))
        monitor = wanted["monitor"] = wanted["monitor"] or _main_monitor(self)
        preliminary = preliminary_phases(self.job.plan)
        return Checkpoint(self.save_best, **wanted, preliminary=preliminary, error=lambda: self.error(monitor))


def custom_callbacks(config: Config) -> list[Callback]:
    """The user's own callbacks and functions.

    Raises:
        ConfigError: A callback cannot be created, or the token of the remote monitor is missing.
    """
    remote = config.callbacks.remote_monitor
    if remote is not None and remote.token_env:
        read_token(remote.token_env)  # detects a missing token before a folder is created
    functions = {
        hook: [load_function(path, hook) for path in paths] for hook, paths in config.callbacks.functions.items()
    }
    own = [load_custom(custom.path, custom.args) for custom in config.callbacks.custom]
    return [*own, LambdaCallback(**functions)] if functions else own


def build_callbacks(
    job: Job,
    folder: RunFolder,
    model: paddle.Model,
    save_best: Callable[[], None],
    error: Callable[[str], float | None],
    custom: Sequence[Callback] = (),
) -> CallbackList:
    """The configured callbacks, those of every run, and the user's own."""
    setting = Setting(job, folder, model, save_best, error, custom)
    return CallbackList([callback for build in BUILDERS for callback in build(setting)], model, job)


def _terminate_on_nan(setting: Setting) -> Iterable[Callback]:
    yield TerminateOnNaN()


def _reporter(setting: Setting) -> Iterable[Callback]:
    job = setting.job
    left = TimeLeft(job.plan.phases, len(job.stages))
    task, classes, is_best = job.objective.task, len(job.data.classes), setting.checkpoint.would_be_best
    yield Reporter(job.plan.epochs, len(job.data.train), task, left, classes, is_best)


def _visualdl(setting: Setting) -> Iterable[Callback]:
    log = setting.job.config.log
    if log.visualdl:
        logger = VisualDLLogger(setting.folder.visualdl, log.every, log.histograms)
        show_graph(logger, setting.job)
        show_samples(logger, setting.job)
        yield logger


def _remote_monitor(setting: Setting) -> Iterable[Callback]:
    wanted = setting.job.config.callbacks.remote_monitor
    if wanted is not None:
        yield RemoteMonitor(**wanted.model_dump(), run=setting.folder.path.name)


def _weight_averaging(setting: Setting) -> Iterable[Callback]:
    wanted = setting.job.config.callbacks.weight_averaging
    if wanted is not None:
        yield WeightAveraging(**wanted.model_dump())


def _log_files(setting: Setting) -> Iterable[Callback]:
    wanted, folder = setting.job.config.callbacks, setting.folder.path
    if wanted.csv_logger is not None:
        yield CSVLogger(full_path(wanted.csv_logger.path or "epochs.csv", folder))
    if wanted.jsonl_logger is not None:
        yield JSONLLogger(full_path(wanted.jsonl_logger.path or "epochs.jsonl", folder))


def _custom(setting: Setting) -> Iterable[Callback]:
    return setting.custom


def _reduce_on_plateau(setting: Setting) -> Iterable[Callback]:
    config = setting.job.config
    wanted = config.callbacks.reduce_on_plateau or (PlateauConfig() if config.train.schedule == "plateau" else None)
    if wanted is not None:
        yield ReduceLROnPlateau(**wanted.model_dump())


def _early_stopping(setting: Setting) -> Iterable[Callback]:
    wanted = setting.job.config.callbacks.early_stopping
    if wanted is not None:
        yield EarlyStopping(**wanted.model_dump())


def _model_checkpoints(setting: Setting) -> Iterable[Callback]:
    network, model = setting.job.network, setting.model

    def save_weights(path: Path) -> None:
        write_weights(network.state_dict(), path)

    def save_state(path: Path) -> None:
        write_weights(optimizer_state(model._optimizer, network), path)

    for section in setting.job.config.callbacks.model_checkpoint:
        wanted = section.model_dump(exclude={"weights_only"})
        wanted["monitor"] = wanted["monitor"] or _main_monitor(setting)
        state = None if section.weights_only else save_state
        yield ModelCheckpoint(save_weights, setting.folder.path / "models", save_state=state, **wanted)


def _main_monitor(setting: Setting) -> str:
    return f"val/{setting.job.objective.task.main.name}"


def _checkpoint(setting: Setting) -> Iterable[Callback]:
    yield setting.checkpoint


BUILDERS: tuple[Callable[[Setting], Iterable[Callback]], ...] = (
    _terminate_on_nan,
    _reporter,
    _weight_averaging,
    _visualdl,
    _remote_monitor,
    _log_files,
    _custom,
    _reduce_on_plateau,
    _early_stopping,
    _model_checkpoints,
    _checkpoint,
)
"""In calling order: checks for damage first, the run's own checkpoint last."""
