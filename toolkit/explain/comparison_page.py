"""``report.html`` of a bake-off, a self-contained page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from toolkit.bakeoff import BakeOff, Comparison
from toolkit.core.console import command
from toolkit.data.corruptions import CORRUPTIONS
from toolkit.explain.comparison_figures import COLORS, curves_over_epochs, curves_over_seconds, scores_of_seeds
from toolkit.explain.comparison_words import PARTS, comparison_statements, lead_words, score_words
from toolkit.explain.tables import parts_of_time
from toolkit.pages import new_environment, write_page
from toolkit.pages.words import lost_words, metric_words

_DRAWN = 10
"""Maximum number of candidates to draw: the best, and training from scratch."""


def write_comparison(found: BakeOff) -> Path:
    """Write ``report.html`` into a bake-off's folder.

    Args:
        found: A bake-off with at least one finished run.

    Returns:
        The path of the page.

    Raises:
        ToolkitError: The folder cannot be written.
    """
    drawn = _drawn(found.rows)
    facts: dict[str, Any] = {
        "name": found.config.name,
        "metric": found.metric,
        "part": PARTS[found.split],
        "images": found.images,
        "seeds": found.seeds,
        "unit": "fold" if found.folds else "seed",
        "winner": found.winner,
        "alone": lead_words(found.rows),
        "score": score_words(found.winner),
        "runs": sum(len(row.trials) for row in found.rows),
        "seconds": parts_of_time(sum(sum(row.seconds) for row in found.rows)),
        "statements": comparison_statements(found)[1:],
        "rows": [_row(row, found, drawn) for row in found.rows],
        "has": {
            key: any(getattr(row, key) for row in found.rows) for key in ("memory", "exported", "halted", "shifted")
        },
        "key": [(COLORS[index % len(COLORS)], row) for index, row in enumerate(drawn)],
        "figures": [curves_over_epochs(drawn), curves_over_seconds(drawn)],
        "dots": scores_of_seeds(drawn),
        "made": _made(found),
        "left_out": found.left_out,
        "missing": found.missing,
        "commands": _commands(found),
    }
    page = new_environment("toolkit.explain").get_template("comparison.html").render(facts)
    return write_page(found.folder / "report.html", page)


def _drawn(rows: Sequence[Comparison]) -> list[Comparison]:
    drawn = list(rows[:_DRAWN])
    if any(row.preset == "scratch" for row in drawn):
        return drawn
    scratch = next((row for row in rows[_DRAWN:] if row.preset == "scratch"), None)
    return [*drawn[:-1], scratch] if scratch else drawn


def _row(row: Comparison, found: BakeOff, drawn: Sequence[Comparison]) -> dict[str, Any]:
    return {
        "number": drawn.index(row) + 1 if row in drawn else "",
        "name": row.title,
        "also": row.also,
        "score": score_words(row),
        "count": len(row.scores),
        "epochs": _span([trial.epochs for trial in row.trials]),
        "planned": row.trials[0].planned,
        "seconds": parts_of_time(mean(row.seconds)),
        "memory": _bytes(row.memory),
        "trainable": row.trainable,
        "exported": _bytes(row.exported),
        "halted": bool(row.halted),
        "best": row is found.winner,
        "shifted": _shifted(row),
    }


def _shifted(row: Comparison) -> str:
    if row.shifted is None:
        return "–"
    value, lost = row.shifted
    return f"{metric_words(row.metric.name, value)} ({lost_words(row.metric, lost, None)})"


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"{min(values)} to {max(values)}"


def _bytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.1f}\u00a0MB" if size < 1e9 else f"{size / 1e9:,.2f}\u00a0GB"


def _made(found: BakeOff) -> list[tuple[str, str]]:
    config, row = found.config, found.winner
    seeds = str(config.seed) if found.seeds == 1 else f"{config.seed} to {config.seed + found.seeds - 1}"
    networks = sorted({row.network for row in found.rows})
    rows = [
        ("data", str(config.data.root or config.data.format)),
        ("networks", ", ".join(networks)),
        ("folds", f"{found.seeds} of the training images, each held out once; scores are those of the last epoch, and "
                  "the data's own validation and test images take no part")
        if found.folds else
        ("seeds", f"{seeds}. A seed is one split of the data, unless the data set has its own, and one draw of new "
                  "weights, order and augmentation; all candidates use the same splits"),
        ("epochs", str(config.train.epochs) if config.train.epochs else "set by each preset"),
        ("batches", f"{config.data.batch_size} images"),
    ]  # fmt: skip
    if found.severities:
        severities = ", ".join(map(str, found.severities))
        words = f"{len(CORRUPTIONS)} corruptions of the images as a network sees them, at severities {severities}"
        rows.append(("under shift", f"{words} (the same for all runs); the best epoch of every run"))
    if found.budget:
        rows.append(("budget", parts_of_time(found.budget)))
    memory = "peak of the run's process" if row.memory else "not measured: the runs shared one process"
    return [*rows, ("peak memory", memory)]


def _commands(found: BakeOff) -> list[tuple[str, str]]:
    rows = [
        ("predict with the best run", command("predict", found.folder / "inference", "IMAGE")),
        (
            "train it again, with its own report",
            command("train", "-c", found.best.folder / "config.yaml", "-o", "export.report=true"),
        ),
        *([] if found.folds else [("continue with more seeds or time", _continue_command(found))]),
    ]
    if (found.folder / "vdl").is_dir():
        rows.append(("all curves and hyper-parameters", command("dashboard", found.folder / "vdl")))
    return rows


def _continue_command(found: BakeOff) -> str:
    """Return the command for the same bake-off with two more seeds, and twice the budget if it had one."""
    words = ["-c", f"{found.folder}/config.yaml", "--seeds", str(found.seeds + 2)]
    if found.presets is not None:
        words += ["--presets", ",".join(found.presets)]
    if found.networks:
        words += ["--networks", ",".join(found.networks)]
    if found.severities:
        words += ["--shift", "--severities", ",".join(map(str, found.severities))]
    if found.budget:
        seconds = math.ceil(2 * found.budget)
        words += ["--budget", f"{seconds}s" if seconds % 60 else f"{seconds // 60}m"]
    return command("compare", *words, *([] if found.halving else ["--to-the-end"]))
