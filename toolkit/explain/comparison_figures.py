"""Figures of a bake-off: learning curves over epochs and over seconds, and each seed's score."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from toolkit.bakeoff import Comparison
from toolkit.pages.figures import Picture, drawn
from toolkit.tasks import Metric

COLORS = (
    "#1d5fbf", "#c2410c", "#0e7c66", "#8b3fb0", "#b7791f",
    "#0891b2", "#be185d", "#4d7c0f", "#475467", "#7c3aed",
)  # fmt: skip
"""Of the candidates, in the order of the table."""
_WIDE = 8.0
"""Times that differ by more than this are drawn on a logarithmic axis."""


def curves_over_epochs(rows: Sequence[Comparison]) -> Picture:
    """The metric on the validation images over epochs: mean of the seeds, and their range."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, row in enumerate(rows):
            epochs, _, values = _curve(row)
            _line(axes, number, epochs, values)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _finish(axes, rows[0].metric)

    return drawn(draw, f"{rows[0].metric.title} over epochs: {_in_words(rows)}", 3.4)


def curves_over_seconds(rows: Sequence[Comparison]) -> Picture:
    """The same over the seconds that training took, features and evaluations included."""
    curves = [_curve(row) for row in rows]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, (_, seconds, values) in enumerate(curves):
            _line(axes, number, seconds, values)
        ends = [float(seconds[-1]) for _, seconds, _ in curves if len(seconds)]
        starts = [float(seconds[0]) for _, seconds, _ in curves if len(seconds)]
        axes.set_xlabel("seconds")
        if ends and min(starts) > 0 and max(ends) > _WIDE * min(ends):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _finish(axes, rows[0].metric)

    return drawn(draw, f"{rows[0].metric.title} over seconds: {_in_words(rows)}", 3.4)


def scores_of_seeds(rows: Sequence[Comparison]) -> Picture:
    """Each seed's score as a dot, the mean as a line; runs that were stopped early are hollow."""
    metric = rows[0].metric

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for number, row in enumerate(rows):
            color = COLORS[number % len(COLORS)]
            for score, trial in zip(row.scores, row.trials, strict=True):
                axes.plot(score, number, "o", color=color, markersize=6, alpha=0.75,
                          markerfacecolor="none" if trial.halted else color)  # fmt: skip
            axes.plot([row.mean, row.mean], [number - 0.28, number + 0.28], color=color, linewidth=2.2)
        axes.set_yticks(range(len(rows)), [str(number + 1) for number in range(len(rows))])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(metric.title)
        if metric.share:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0))

    return drawn(draw, f"{metric.title} of each seed: {_in_words(rows)}", max(1.6, 0.7 + 0.3 * len(rows)))


def _curve(row: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Epochs ``[E]``, mean seconds ``[E]`` and values ``[seeds, E]``, over the epochs that all seeds have."""
    count = min((len(trial.curve) for trial in row.trials), default=0)
    points = np.array([trial.curve[:count] for trial in row.trials], dtype=np.float64).reshape(-1, count, 3)
    return np.arange(1, count + 1), points[:, :, 1].mean(axis=0), points[:, :, 2]


def _line(axes: Axes, number: int, places: np.ndarray, values: np.ndarray) -> None:
    if not len(places):
        return
    color, middle = COLORS[number % len(COLORS)], values.mean(axis=0)
    style = "-" if number < len(COLORS) else "--"
    if len(values) > 1:
        axes.fill_between(places, values.min(axis=0), values.max(axis=0), color=color, alpha=0.12, linewidth=0)
    axes.plot(places, middle, style, color=color, marker="o" if len(places) <= 20 else "", markersize=2.8)
    axes.annotate(str(number + 1), (places[-1], middle[-1]), (4, 0), textcoords="offset points", fontsize=8.5,
                  color=color, va="center")  # fmt: skip


def _finish(axes: Axes, metric: Metric) -> None:
    axes.set_ylabel(f"{metric.title}, validation")
    if metric.share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _in_words(rows: Sequence[Comparison]) -> str:
    return ", ".join(f"{row.title} {mean(row.scores):.3f}" for row in rows)
