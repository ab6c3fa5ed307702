"""The command ``find_lr``: a learning rate range test as a table, a plot, and settings to copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from toolkit.commands.app import Outcome
from toolkit.config import Config, with_overrides
from toolkit.core.console import command, new_table
from toolkit.core.errors import ConfigError
from toolkit.core.files import clear_os_errors, write_json
from toolkit.engine import prepare_job
from toolkit.engine.lr.range_test import RangeTest, range_test


def find_lr(config: Config, out: Path | None = None, steps: int | None = None, words: Sequence[str] = ()) -> Outcome:
    """Test the learning rates of a job without training it or touching a run.

    Args:
        config: The job.
        out: Folder for ``find_lr.png`` and ``find_lr.json``; by default ``output_dir/name-find_lr``.
        steps: Maximum number of steps of each test; by default 100 for the head and 60 for the backbone.
        words: Arguments that name the job, for the command to train with the rates that were found.

    Raises:
        ConfigError: The job has no learning rate, or too few steps.
        ToolkitError: The job cannot be built, or the folder cannot be written.
    """
    from toolkit.explain.lr_figure import write_lr_figure  # matplotlib takes time to import

    if config.train.solver == "exact" and config.transfer.phases is None:
        raise ConfigError("train.solver: exact needs no learning rate", hint="leave it out to test rates")
    if steps is not None and steps < 20:
        raise ConfigError(f"--steps is {steps}; expected 20 or more", hint="leave it out for 100 (head), 60 (backbone)")
    folder = out or config.output_dir.expanduser() / f"{config.name}-find_lr"
    job = prepare_job(with_overrides(config, train={"lr": None}))
    found = range_test(job, steps or 100, steps or 60)
    with clear_os_errors(str(folder)):
        folder.mkdir(parents=True, exist_ok=True)
        plot = write_lr_figure(found, folder / "find_lr.png")
        payload = {**found.to_json(), "plot": str(plot)}
        write_json(folder / "find_lr.json", payload)
    settings = [f"{key}={value:.2g}" for key, value in found.settings.items()]
    reasons = [f"{curve.part}: {curve.reason}" for curve in found.curves]
    return Outcome(
        payload, [_table(config, found), *reasons, f"plot: {plot}", f"try: {command('train', *words, *settings)}"]
    )


def _table(config: Config, found: RangeTest) -> Table:
    title = f"{config.name}: learning-rate range test ({found.optimizer})"
    numeric = ("steps", "from", "to", "least loss at", "near it from", "falls fastest", "suggested")
    table = new_table(title, "part", *numeric, numeric=numeric)
    for curve in found.curves:
        ended = f"{curve.rates[-1]:.2g}{' (diverged)' if curve.diverged else ''}"
        steepest = "-" if curve.steepest is None else f"{curve.steepest:.2g}"
        numbers = [f"{curve.rates[0]:.2g}", ended, f"{curve.least:.2g}", f"{curve.near_least:.2g}", steepest]
        table.add_row(curve.part, str(len(curve.rates)), *numbers, f"{curve.suggestion:.2g}")
    return table
