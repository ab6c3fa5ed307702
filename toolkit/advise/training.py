"""``transfer.preset: auto``: training asks the advisor first and records its advice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit.advise.advisor import advise
from toolkit.advise.tables import evidence_table, matrix_table
from toolkit.config import Config, make_config
from toolkit.core.console import info, show
from toolkit.core.errors import ConfigError
from toolkit.engine.learning.distributed import begin, on_main
from toolkit.engine.runs.folder import RunFolder


def settle_preset(config: Config, resume: Path | str | None = None) -> tuple[Config, Mapping[str, Any] | None]:
    """Replace preset ``auto`` in a config, and return it with the advice for ``run.json``.

    The main process asks the advisor and shares the result with all processes.

    Args:
        config: The job.
        resume: Folder of a run to resume, whose advice is kept.

    Returns:
        The config and the advice; for a named preset, the same config and the run's earlier advice, if any.

    Raises:
        ToolkitError: The advisor cannot measure the images, or they cannot be used for training.
    """
    if config.transfer.preset != "auto":
        earlier = resume is not None and resume != "auto"
        return config, RunFolder(Path(str(resume))).read_record().get("advice") if earlier else None
    begin()
    values, advice = on_main(lambda: _ask(config))
    return make_config(values, where=config.name), advice


def _ask(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    advice = advise(config, table=False)  # training shows the table
    show(matrix_table(advice))
    show(evidence_table(advice))
    for sentence in (*advice.why, *(f"note: {note}" for note in advice.notes)):
        info(sentence)
    if advice.config is None or advice.plan is None:
        raise ConfigError("transfer.preset: auto: the images cannot be used for training", hint="see the notes above")
    info(f"transfer.preset: auto selects {advice.plan.preset}{f', cut after {advice.cut}' if advice.cut else ''}")
    return advice.config.model_dump(), advice.to_json()
