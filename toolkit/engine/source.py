"""A source task first: the run that a config's weights come from is a run like any other."""

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
    """``build_job``; a source task that the config starts from is trained first.

    Args:
        config: What is asked for.
        read_before: See ``build_job``.

    Raises:
        ToolkitError: See ``build_job`` and ``train_source``.
    """
    if isinstance(config.model.pretrained, SourceConfig):
        train_source(config, config.model.pretrained)
    return build_job(config, read_before=read_before)


def train_source(config: Config, wanted: SourceConfig) -> RunFolder:
    """The finished run of a source task; it is trained now when there is none.

    Args:
        config: Of the run that starts from it.
        wanted: Its ``model.pretrained``.

    Raises:
        Interrupted: Ctrl-C or SIGTERM came while the source task was trained.
        ToolkitError: The source uses another network, or cannot be trained.
    """
    folder, source = finished_source(config, wanted), source_config(config, wanted)
    if folder is not None:
        info(f"source task {source.name}: {folder.path} is there")
        return folder
    info(f"source task {source.name}: not trained yet, training it first ({wanted.config.name})")
    try:
        return Trainer(prepare_job(source)).fit().folder
    except Interrupted as stop:
        raise Interrupted(
            f"source task {source.name}: {stop.message}", hint=f"{stop.hint}; then run this job again"
        ) from None
