"""Figures of a bake-off: learning curves over epochs and over seconds, and the scores of each seed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from toolkit.bakeoff import Comparison
from toolkit.pages.figures import EmbeddedImage, drawn
from toolkit.tasks import Metric

COLORS = (
    "#1d5fbf", "#c2410c", "#0e7c66", "#8b3fb0", "#b7791f",
    "#0891b2", "#be185d", "#4d7c0f", "#475467", "#7c3aed",
)  # fmt: skip
"""Colours of the candidates, in the order of the table."""
_WIDE = 8.0
"""The time axis is logarithmic if times differ by more than this factor."""


def curves_over_epochs(rows: Sequence[Comparison]) -> EmbeddedImage:
    """Plot the validation metric over epochs: mean and range of the seeds."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for index, row in enumerate(rows):
            epochs, _, values = _curve(row)
            _line(axes, index, epochs, values)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _finish(axes, rows[0].metric)

    return drawn(draw, f"{rows[0].metric.title} over epochs: {_in_words(rows)}", 3.4)


def curves_over_seconds(rows: Sequence[Comparison]) -> EmbeddedImage:
    """Plot the validation metric over the seconds of training, including features and evaluations."""
    curves = [_curve(row) for row in rows]

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for index, (_, seconds, values) in enumerate(curves):
            _line(axes, index, seconds, values)
        ends = [float(seconds[-1]) for _, seconds, _ in curves if len(seconds)]
        starts = [float(seconds[0]) for _, seconds, _ in curves if len(seconds)]
        axes.set_xlabel("seconds")
        if ends and min(starts) > 0 and max(ends) > _WIDE * min(ends):
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        _finish(axes, rows[0].metric)

    return drawn(draw, f"{rows[0].metric.title} over seconds: {_in_words(rows)}", 3.4)


def scores_of_seeds(rows: Sequence[Comparison]) -> EmbeddedImage:
    """Plot the score of each seed as a dot and the mean as a line; runs stopped early are hollow."""
    metric = rows[0].metric

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for index, row in enumerate(rows):
            color = COLORS[index % len(COLORS)]
            for score, trial in zip(row.scores, row.trials, strict=True):
                axes.plot(score, index, "o", color=color, markersize=6, alpha=0.75,
                          markerfacecolor="none" if trial.halted else color)  # fmt: skip
            axes.plot([row.mean, row.mean], [index - 0.28, index + 0.28], color=color, linewidth=2.2)
        axes.set_yticks(range(len(rows)), [str(index + 1) for index in range(len(rows))])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(metric.title)
        if metric.share:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0))

    return drawn(draw, f"{metric.title} of each seed: {_in_words(rows)}", max(1.6, 0.7 + 0.3 * len(rows)))


def _curve(row: Comparison) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return epochs ``[E]``, mean seconds ``[E]`` and values ``[seeds, E]``, for the epochs that all seeds have."""
    count = min((len(trial.curve) for trial in row.trials), default=0)
    points = np.array([trial.curve[:count] for trial in row.trials], dtype=np.float64).reshape(-1, count, 3)
    return np.arange(1, count + 1), points[:, :, 1].mean(axis=0), points[:, :, 2]


def _line(axes: Axes, index: int, positions: np.ndarray, values: np.ndarray) -> None:
    if not len(positions):
        return
    color, middle = COLORS[index % len(COLORS)], values.mean(axis=0)
    style = "-" if index < len(COLORS) else "--"
    if len(values) > 1:
        axes.fill_between(positions, values.min(axis=0), values.max(axis=0), color=color, alpha=0.12, linewidth=0)
    axes.plot(positions, middle, style, color=color, marker="o" if len(positions) <= 20 else "", markersize=2.8)
    axes.annotate(str(index + 1), (positions[-1], middle[-1]), (4, 0), textcoords="offset points", fontsize=8.5,
                  color=color, va="center")  # fmt: skip


def _finish(axes: Axes, metric: Metric) -> None:
    axes.set_ylabel(f"{metric.title}, validation")
    if metric.share:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _in_words(rows: Sequence[Comparison]) -> str:
    return ", ".join(f"{row.title} {mean(row.scores):.3f}" for row in rows)
