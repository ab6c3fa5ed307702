"""Rows of a bake-off: the results of a candidate over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

from rich.table import Table

from toolkit.bakeoff.candidates import Candidate, title_of
from toolkit.bakeoff.trial import Trial
from toolkit.core.console import new_table
from toolkit.tasks import Metric


@dataclass(frozen=True)
class Comparison:
    """The results of one candidate.

    Attributes:
        preset: The candidate: a preset, or ``usual_recipe``.
        metric: The task's main metric.
        scores: For each seed, the value of the best epoch on the test images if there are any, else on the validation
            images.
        seconds: Time for each seed, including features and evaluations.
        trainable: Number of trainable weights (in the last phase).
        network: Name of the network.
        memory: Peak memory of the runs in bytes; None unless they ran in separate processes.
        exported: Size of the exported model in bytes, if one was exported.
        trials: The runs, in the order of ``scores``.
        also: Other presets with the same plan for this network.
        main: The network is the config's own.
    """

    preset: str
    metric: Metric
    scores: tuple[float, ...]
    seconds: tuple[float, ...]
    trainable: int
    network: str = ""
    memory: int | None = None
    exported: int | None = None
    trials: tuple[Trial, ...] = ()
    also: tuple[str, ...] = ()
    main: bool = True

    @property
    def title(self) -> str:
        """Title in tables, with the network unless it is the config's own."""
        return title_of(self.preset, self.network, self.main)

    @property
    def mean(self) -> float:
        """Mean of ``scores``."""
        return mean(self.scores)

    @property
    def spread(self) -> float:
        """Standard deviation of ``scores`` over the seeds; 0 for one seed."""
        return stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def shifted(self) -> tuple[float, float] | None:
        """Mean of the metric under shift, and of what is lost there, over the measured seeds; None without any."""
        means = [trial.shift.mean for trial in self.trials if trial.shift is not None]
        return (mean(loss.value for loss in means), mean(loss.lost for loss in means)) if means else None

    @property
    def halted(self) -> tuple[Trial, ...]:
        """Runs that were stopped early, whose scores are those of an early epoch."""
        return tuple(trial for trial in self.trials if trial.halted)

    def to_json(self) -> dict[str, Any]:
        """Return plain values for ``--json``."""
        return {
            "title": self.title,
            "preset": self.preset,
            "network": self.network,
            "same_as": list(self.also),
            "metric": self.metric.name,
            self.metric.name: list(self.scores),
            "mean": self.mean,
            "spread": self.spread,
            **({} if self.shifted is None else {"under_shift": self.shifted[0], "lost_under_shift": self.shifted[1]}),
            "seconds": mean(self.seconds),
            "peak_memory": self.memory,
            "trainable": self.trainable,
            "exported_bytes": self.exported,
            "halted": len(self.halted),
            "runs": [trial.to_json() for trial in self.trials],
        }


def row_of(candidate: Candidate, trials: Sequence[Trial], metric: Metric) -> Comparison:
    """Make the row of a candidate with at least one finished run."""
    memory = [trial.memory for trial in trials if trial.memory is not None]
    return Comparison(
        candidate.name,
        metric,
        tuple(trial.score for trial in trials),
        tuple(trial.seconds for trial in trials),
        trials[0].parameters.get("trainable", 0),
        candidate.network,
        max(memory, default=None),
        next((trial.exported for trial in trials if trial.exported is not None), None),
        tuple(trials),
        candidate.also,
        candidate.main,
    )


def winner(rows: Sequence[Comparison]) -> Comparison:
    """Return the row with the best mean among those with the most completed seeds; the fastest one of equals."""
    completed = [len(row.scores) - len(row.halted) for row in rows]
    eligible = [row for row, count in zip(rows, completed, strict=True) if count == max(completed)]
    sign = 1 if eligible[0].metric.better == "max" else -1
    return max(eligible, key=lambda row: (sign * row.mean, -mean(row.seconds)))


def ranked(rows: Sequence[Comparison]) -> list[Comparison]:
    """Sort the rows: the winner first, then by mean, then by speed."""
    if not rows:
        return []
    best, sign = winner(rows), -1 if rows[0].metric.better == "max" else 1
    return sorted(rows, key=lambda row: (row is not best, sign * row.mean, mean(row.seconds)))


def comparison_table(rows: Sequence[Comparison], missing: Sequence[str] = (), unit: str = "seed") -> Table:
    """Show the rows in their order as a table, without columns that have no values.

    Args:
        rows: One or more rows.
        missing: Titles of candidates that should have a row but were not trained.
        unit: What the scores of a row are over: ``seed`` or ``fold``.
    """
    seeds, title = max(len(row.scores) for row in rows), rows[0].metric.title
    memory, exported = any(row.memory for row in rows), any(row.exported for row in rows)
    shift = any(row.shifted for row in rows)
    columns = [
        title,
        *(["under shift (lost)"] if shift else []),
        *([f"{unit}s"] if seeds > 1 else []),
        "trainable weights",
        "seconds",
    ]
    columns += (["peak memory"] if memory else []) + (["exported"] if exported else [])
    words = f"presets side by side ({seeds} {unit}{'s' if seeds > 1 else ''})"
    table = new_table(words, "preset", *columns, numeric=tuple(columns))
    best = winner(rows)
    for row in rows:
        name = " = ".join((row.title, *row.also)) + (" (stopped early)" if row.halted else "")
        cells = [f"{row.mean:.3f}" + (f" ± {row.spread:.3f}" if len(row.scores) > 1 else "")]
        cells += [_shifted(row)] if shift else []
        cells += [str(len(row.scores))] if seeds > 1 else []
        cells += [f"{row.trainable:,}", f"{mean(row.seconds):.1f}"]
        cells += ([_megabytes(row.memory)] if memory else []) + ([_megabytes(row.exported)] if exported else [])
        table.add_row(name, *cells, style="bold" if row is best else None)
    for title in missing:
        table.add_row(f"{title} (not trained)", *["–"] * len(columns))
    return table


def _shifted(row: Comparison) -> str:
    return "–" if row.shifted is None else f"{row.shifted[0]:.3f} ({row.shifted[1]:.3f})"


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
