"""The command ``compare``: run a bake-off, write its report, and export the best run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.advise import settle_preset
from toolkit.bakeoff import BakeOff, bake_off, comparison_table
from toolkit.commands.app import Outcome
from toolkit.config import Config, load_config
from toolkit.core.console import command, info
from toolkit.core.durations import seconds_of
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import cpu_settings, select_device
from toolkit.deploy import export_job
from toolkit.engine import RunFolder, Trainer, build_job, prepare_job


def compare(
    config: Config,
    presets: str | None = None,
    seeds: int = 3,
    networks: str | None = None,
    budget: str | None = None,
    to_the_end: bool = False,
    folds: int | None = None,
    severities: Sequence[int] = (),
) -> Outcome:
    """Train candidates on the same splits, write the report, and export the best run.

    After a cross-validation, the best candidate is trained on all training images and exported.

    Args:
        config: The base config; ``transfer.preset: auto`` asks the advisor first.
        presets: Comma-separated names; None: all.
        seeds: Number of seeds for each candidate.
        networks: Comma-separated names, each alone or as ``name=weights``; None: the config's network.
        budget: Total time, for example ``20m``.
        to_the_end: Do not stop any run early.
        folds: Cross-validate over this many folds instead of seeds.
        severities: Also evaluate all runs on corrupted images, at these severities, 1 to 5.

    Returns:
        ``BakeOff.to_json`` with ``statements``, ``inference`` and ``report``.

    Raises:
        ToolkitError: See ``bake_off``; or the budget or a list is invalid.
    """
    seconds = None if budget is None else seconds_of(budget, "--budget")
    names = None if presets is None else _words(presets, "--presets")
    zoo = [] if networks is None else _words(networks, "--networks")
    device = select_device(config.train.device)
    info(f"device {device}; {cpu_settings()}")
    options: dict[str, Any] = {"halving": not to_the_end, "folds": folds, "severities": severities}
    found = bake_off(settle_preset(config)[0], names, seeds, zoo, seconds, **options)
    return _outcome(found)


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"{option}: expected comma-separated names (found {text!r})")
    return words


def _final_run(found: BakeOff) -> Path:
    """Train the best candidate of a cross-validation on all training images; return the run's folder."""
    config = load_config(found.best.folder / "config.yaml")
    name = f"{config.name.rpartition('-')[0]}-final"
    data = config.data.model_copy(update={"fold": None})
    config = config.model_copy(
        update={"name": name, "output_dir": found.folder, "data": data, "seed": found.config.seed}
    )
    info(f"training {found.winner.title} on all training images")
    return Trainer(prepare_job(config, read_before=True)).fit(resume="auto").folder.path


def _outcome(found: BakeOff) -> Outcome:
    from toolkit.explain import comparison_statements, write_comparison  # matplotlib takes time to import

    best = _final_run(found) if found.folds else found.best.folder
    job = build_job(load_config(best / "config.yaml"), weights=RunFolder(best).best)
    exported = export_job(job, found.folder / "inference")
    report = write_comparison(found)
    statements = comparison_statements(found)
    payload: dict[str, Any] = {**found.to_json(), "statements": statements}
    payload.update(inference=str(exported), report=str(report))
    unit = "fold" if found.folds else "seed"
    text: list[Any] = [comparison_table(found.rows, found.missing, unit), *statements]
    whose = f"{found.winner.title} on all training images" if found.folds else "best run"
    text.append(f"{whose}: {best}; exported to {exported}; try: {command('predict', exported, 'IMAGE')}")
    records = found.folder / "vdl"
    shown = f"   dashboard: {command('dashboard', records)}" if records.is_dir() else ""
    text.append(f"report: {report}{shown}")
    return Outcome(payload, text)
