"""Tables of a report, as rows of text and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.bakeoff import Comparison
from toolkit.engine import Job
from toolkit.pages.words import metric_words

MANY = 20
"""With more classes or labels, tables start with the worst ones and the confusion matrix becomes a list."""


@dataclass(frozen=True)
class PlanRow:
    """A stage of the plan, or the head.

    Attributes:
        name: Name of the stage.
        shape: Shape of its output.
        parameters: Number of weights.
        frozen: ``yes``, ``no``, or the phases in which it is frozen.
        rates: Learning rate in each phase; None while frozen.
    """

    name: str
    shape: str
    parameters: int
    frozen: str
    rates: tuple[float | None, ...]


def plan_rows(job: Job) -> list[PlanRow]:
    """Tabulate the plan stage by stage, with the head last."""
    phases = job.plan.phases
    rows = []
    for index, stage in enumerate(job.stages):
        frozen = [phase.name for phase in phases if index < phase.frozen]
        words = "yes" if len(frozen) == len(phases) else f"in {', '.join(frozen)}" if frozen else "no"
        rates = tuple(phase.lr * phase.multipliers[index] if index >= phase.frozen else None for phase in phases)
        rows.append(PlanRow(stage.name, " × ".join(map(str, stage.shape)), stage.parameters, words, rates))
    head = PlanRow("head", str(len(job.data.classes)), job.head_parameters, "no", tuple(phase.lr for phase in phases))
    return [*rows, head]


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix.

    Attributes:
        count: Number of images.
        color: CSS background colour; empty for none.
        dark: The background needs light text.
    """

    count: int
    color: str
    dark: bool


def confusion_cells(matrix: NDArray[np.int64]) -> list[list[Cell]]:
    """Colour the confusion matrix by fraction of each true class: blue for correct, red for wrong predictions."""
    rows = []
    for true, row in enumerate(matrix):
        total = max(1, int(row.sum()))
        cells = []
        for predicted, count in enumerate(row):
            strength = 0.08 + 0.87 * int(count) / total
            base = "29, 95, 191" if true == predicted else "217, 72, 15"
            color = f"rgba({base}, {strength:.2f})" if count else ""
            cells.append(Cell(int(count), color, bool(count) and strength > 0.75))
        rows.append(cells)
    return rows


def count_summary(counts: dict[str, dict[str, int]]) -> list[tuple[str, int, int, float, int]]:
    """Return for each split: name, images, and the minimum, median and maximum images per class."""
    return [
        (split, sum(by_class.values()), min(by_class.values()), median(by_class.values()), max(by_class.values()))
        for split, by_class in counts.items()
    ]


def comparison_rows(rows: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Format the results of ``compare_presets``; ``best`` marks the row with the best mean."""
    best = (max if rows[0].metric.better == "max" else min)(mean(row.scores) for row in rows)
    return [
        {
            "preset": row.preset,
            "value": metric_words(row.metric.name, mean(row.scores)),
            "spread": metric_words(row.metric.name, row.spread).removesuffix("\u00a0%"),
            "bar": min(1.0, max(0.0, mean(row.scores))),
            "trainable": row.trainable,
            "seconds": mean(row.seconds),
            "seeds": len(row.scores),
            "best": mean(row.scores) == best,
        }
        for row in rows
    ]


def parts_of_time(seconds: float) -> str:
    """Format a duration for people: ``8.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
