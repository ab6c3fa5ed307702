"""The command ``compare``: run a bake-off, write its report, and export the best run."""

from __future__ import annotations

import re
from typing import Any

from toolkit.advise import settle_preset
from toolkit.bakeoff import BakeOff, bake_off, comparison_table
from toolkit.commands.app import Outcome
from toolkit.config import Config, load_config
from toolkit.core.console import command, info
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import cpu_settings, select_device
from toolkit.deploy import export_job
from toolkit.engine import build_job

_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def compare(
    config: Config,
    presets: str | None = None,
    seeds: int = 3,
    networks: str | None = None,
    budget: str | None = None,
    to_the_end: bool = False,
) -> Outcome:
    """Train candidates on the same splits, write the report, and export the best run.

    Args:
        config: The base config; ``transfer.preset: auto`` asks the advisor first.
        presets: Comma-separated names; None: all.
        seeds: Number of seeds for each candidate.
        networks: Comma-separated names, each alone or as ``name=weights``; None: the config's network.
        budget: Total time, for example ``20m``.
        to_the_end: Do not stop any run early.

    Returns:
        ``BakeOff.to_json`` with ``statements``, ``inference`` and ``report``.

    Raises:
        ToolkitError: See ``bake_off``; or the budget or a list is invalid.
    """
    seconds = None if budget is None else read_budget(budget)
    names = None if presets is None else _words(presets, "--presets")
    zoo = [] if networks is None else _words(networks, "--networks")
    device = select_device(config.train.device)
    info(f"device {device}; {cpu_settings()}")
    found = bake_off(settle_preset(config)[0], names, seeds, zoo, seconds, halving=not to_the_end)
    return _outcome(found)


def read_budget(text: str) -> float:
    """Parse ``90s``, ``20m``, ``1.5h`` or ``1h30m`` as seconds.

    Raises:
        ConfigError: The text is not a time above 0.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text.lower())
    rest = re.sub(r"(\d+(?:\.\d+)?)\s*([smhd])", "", text.lower()).strip()
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if rest or seconds <= 0:
        raise ConfigError(f"--budget: expected a time like 20m, 90s or 1h30m (found {text!r})")
    return seconds


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise ConfigError(f"{option}: expected comma-separated names (found {text!r})")
    return words


def _outcome(found: BakeOff) -> Outcome:
    from toolkit.explain import comparison_statements, write_comparison  # matplotlib takes time to import

    best = found.best
    job = build_job(load_config(best.folder / "config.yaml"), weights=best.folder / "checkpoints" / "best.pdparams")
    exported = export_job(job, found.folder / "inference")
    report = write_comparison(found)
    statements = comparison_statements(found)
    payload: dict[str, Any] = {**found.to_json(), "statements": statements}
    payload.update(inference=str(exported), report=str(report))
    text: list[Any] = [comparison_table(found.rows, found.missing), *statements]
    text.append(f"best run: {best.folder}; exported to {exported}; try: {command('predict', exported, 'IMAGE')}")
    records = found.folder / "vdl"
    shown = f"   dashboard: {command('dashboard', records)}" if records.is_dir() else ""
    text.append(f"report: {report}{shown}")
    return Outcome(payload, text)
