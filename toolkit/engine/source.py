"""Train a source task first: the run that provides a config's weights is an ordinary run."""

from __future__ import annotations

from toolkit.config import Config, SourceConfig
from toolkit.core.console import info
from toolkit.core.errors import Interrupted
from toolkit.engine.build import build_job
from toolkit.engine.job import Job
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.source import finished_source, source_config
from toolkit.engine.trainer import Trainer


def prepare_job(config: Config, *, read_before: bool = False) -> Job:
    """Like ``build_job``, but first trains the source task that the config starts from, if any.

    Args:
        config: The config.
        read_before: See ``build_job``.

    Raises:
        ToolkitError: See ``build_job`` and ``train_source``.
    """
    if isinstance(config.model.pretrained, SourceConfig):
        train_source(config, config.model.pretrained)
    return build_job(config, read_before=read_before)


def train_source(config: Config, wanted: SourceConfig) -> RunFolder:
    """The finished run of a source task, which is trained now if there is none.

    Args:
        config: Config of the run that starts from it.
        wanted: The ``model.pretrained`` of that config.

    Raises:
        Interrupted: Ctrl-C or SIGTERM arrived while the source task was trained.
        ToolkitError: The source uses another network, or cannot be trained.
    """
    folder, source = finished_source(config, wanted), source_config(config, wanted)
    if folder is not None:
        info(f"source task {source.name}: using {folder.path}")
        return folder
    info(f"source task {source.name}: not trained yet, training it first ({wanted.config.name})")
    try:
        return Trainer(prepare_job(source)).fit().folder
    except Interrupted as stop:
        raise Interrupted(
            f"source task {source.name}: {stop.message}", hint=f"{stop.hint}; then run this job again"
        ) from None
