"""The learning curves of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from toolkit.pages.figures import GRAY, TRAIN, VAL, EmbeddedImage, drawn
from toolkit.tasks import METRICS

_MARKED_EPOCHS = 40
"""Longer curves are drawn without a dot for each epoch."""


def learning_curve(lines: Sequence[dict[str, Any]], metric: str, title: str, best: int | None) -> EmbeddedImage:
    """Plot a metric on training and validation images over the epochs, with phases numbered and the best epoch marked.

    Args:
        lines: One or more lines of ``metrics.jsonl``.
        metric: Name of the metric; drawn only for validation images if the training images have none.
        title: Label of the vertical axis.
        best: The best epoch (1-based), or None.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        epochs = [line["epoch"] for line in lines]
        dot = "o" if len(lines) <= _MARKED_EPOCHS else ""
        for split, color, name in (("train", TRAIN, "training"), ("val", VAL, "validation")):
            values = [line[split][metric] for line in lines if metric in line[split]]
            if not values:
                continue
            axes.plot(epochs, values, color=color, marker=dot, markersize=3.2, label=name)
        marked = [line["val"][metric] for line in lines if line["epoch"] == best]
        if marked and best is not None:
            axes.plot([best], marked, "o", markersize=9, markerfacecolor="none", color=VAL, label="best epoch")
        _mark_phases(axes, lines)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if METRICS[metric].share:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        floor = METRICS[metric].floor
        if floor is not None and axes.get_ylim()[0] < floor:
            highest = max([floor + 0.1, *(line["val"][metric] for line in lines if line["val"][metric] > floor)])
            axes.set_ylim(floor, highest + 0.05 * (highest - floor))
        axes.legend(fontsize=9)

    first, last = lines[0]["val"][metric], lines[-1]["val"][metric]
    return drawn(draw, f"{title} over {len(lines)} epochs: on validation images from {first:.3f} to {last:.3f}")


def _mark_phases(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    """Draw a numbered line at the start of each phase, if there are several."""
    begins = [line["epoch"] for i, line in enumerate(lines) if i == 0 or line["phase"] != lines[i - 1]["phase"]]
    if len(begins) < 2:
        return
    for number, epoch in enumerate(begins, 1):
        if number > 1:
            axes.axvline(epoch - 0.5, color=GRAY, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            f"phase {number}" if len(begins) < 5 else str(number),
            (epoch - 0.5, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 3),
            textcoords="offset points",
            fontsize=8.5,
            color=GRAY,
        )
