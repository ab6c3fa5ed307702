"""The run of a source task that another run starts from."""

from __future__ import annotations

import glob

from toolkit.config import Config, SourceConfig, load_config, with_overrides
from toolkit.core.errors import NetworkError
from toolkit.engine.runs.folder import RunFolder


def source_config(config: Config, wanted: SourceConfig) -> Config:
    """The source task's config, with runs in the same ``output_dir``.

    Raises:
        NetworkError: The source task trains another network.
        ConfigError: Its config cannot be read.
    """
    source = with_overrides(load_config(wanted.config), output_dir=config.output_dir)
    if source.model.name != config.model.name:
        raise NetworkError(
            f"{wanted.config} trains {source.model.name}, but model.name is {config.model.name}",
            hint="use the same network in both configs",
        )
    return source


def finished_source(config: Config, wanted: SourceConfig) -> RunFolder | None:
    """The finished run of a source task; None if it is not trained yet.

    Raises:
        ToolkitError: As for ``source_config``.
    """
    source = source_config(config, wanted)
    for path in sorted(config.output_dir.expanduser().glob(f"{glob.escape(source.name)}*/config.yaml")):
        folder = RunFolder(path.parent)
        with folder.passed_over():
            if folder.read_record().get("finished") and not folder.differences(source):
                return folder
    return None
