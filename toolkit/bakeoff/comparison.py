"""One row of a bake-off: a candidate's results over its seeds."""

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
    """One candidate's results.

    Attributes:
        preset: The candidate: a preset with its variant, or ``usual_recipe``.
        metric: The task's main metric.
        scores: Its best value on the validation images, for each seed; on the test images where there are some.
        seconds: Time of each seed, features and evaluations included.
        trainable: Number of weights that moved (in the last phase).
        network: The network's name.
        memory: Most memory of its runs in bytes; None where they had no process of their own.
        exported: Size of the exported model in bytes, where one was exported.
        trials: Its runs, in the order of ``scores``.
        also: Other presets that mean the same for this network.
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
        """How tables call it: the network is said where it is not the config's own."""
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
    def halted(self) -> tuple[Trial, ...]:
        """Runs that were stopped as hopeless: their scores are those of an early epoch."""
        return tuple(trial for trial in self.trials if trial.halted)

    def to_json(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {
            "title": self.title,
            "preset": self.preset,
            "network": self.network,
            "same_as": list(self.also),
            "metric": self.metric.name,
            self.metric.name: list(self.scores),
            "mean": self.mean,
            "spread": self.spread,
            "seconds": mean(self.seconds),
            "peak_memory": self.memory,
            "trainable": self.trainable,
            "exported_bytes": self.exported,
            "halted": len(self.halted),
            "runs": [trial.to_json() for trial in self.trials],
        }


def row_of(candidate: Candidate, trials: Sequence[Trial], metric: Metric) -> Comparison:
    """The row of a candidate's finished runs, at least one."""
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
    """The row of the best mean among those that trained most seeds to their end; of equal ones the fastest."""
    whole = [len(row.scores) - len(row.halted) for row in rows]
    fit = [row for row, count in zip(rows, whole, strict=True) if count == max(whole)]
    sign = 1 if fit[0].metric.better == "max" else -1
    return max(fit, key=lambda row: (sign * row.mean, -mean(row.seconds)))


def ranked(rows: Sequence[Comparison]) -> list[Comparison]:
    """The winner first, the others by their means; of equal ones the fastest."""
    if not rows:
        return []
    best, sign = winner(rows), -1 if rows[0].metric.better == "max" else 1
    return sorted(rows, key=lambda row: (row is not best, sign * row.mean, mean(row.seconds)))


def comparison_table(rows: Sequence[Comparison], missing: Sequence[str] = ()) -> Table:
    """Rows for people, in their order; columns of what nobody measured are left out.

    Args:
        rows: At least one.
        missing: Titles of candidates that should have a row, and were not trained.
    """
    seeds, title = max(len(row.scores) for row in rows), rows[0].metric.title
    memory, exported = any(row.memory for row in rows), any(row.exported for row in rows)
    columns = [title, *(["seeds"] if seeds > 1 else []), "trainable weights", "seconds"]
    columns += (["peak memory"] if memory else []) + (["exported"] if exported else [])
    words = f"presets side by side ({seeds} seed{'s' if seeds > 1 else ''})"
    table = new_table(words, "preset", *columns, numeric=tuple(columns))
    best = winner(rows)
    for row in rows:
        name = " = ".join((row.title, *row.also)) + (" (stopped early)" if row.halted else "")
        cells = [f"{row.mean:.3f}" + (f" ± {row.spread:.3f}" if len(row.scores) > 1 else "")]
        cells += [str(len(row.scores))] if seeds > 1 else []
        cells += [f"{row.trainable:,}", f"{mean(row.seconds):.1f}"]
        cells += ([_megabytes(row.memory)] if memory else []) + ([_megabytes(row.exported)] if exported else [])
        table.add_row(name, *cells, style="bold" if row is best else None)
    for title in missing:
        table.add_row(f"{title} (not trained)", *["–"] * len(columns))
    return table


def _megabytes(size: int | None) -> str:
    return "–" if size is None else f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.2f} GB"
