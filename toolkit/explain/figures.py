"""Figures as pictures inside of the page, and the learning curves.

They hold no words of the user's, and their text is drawn by the browser: no font has to be installed where the report
is written. ``pyplot`` and the settings of matplotlib are left alone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

__all__ = ["GRAY", "STYLE", "TRAIN", "VAL", "Picture", "data_uri", "drawn", "learning_curve"]

TRAIN, VAL, GRAY = "#98a2b3", "#1d5fbf", "#667085"
_SHARES = frozenset({"top1", "top5"})
"""Metrics that are drawn in percent."""
_FLOORS: Mapping[str, float] = MappingProxyType({"r2": -1.0})
"""Where an axis ends below: R2 has no lower bound, and one bad epoch would flatten the rest."""
_MARKED_EPOCHS = 40
"""Longer curves are drawn without a dot an epoch."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "toolkit",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans"],
    "font.size": 10.0,
    "axes.edgecolor": "#98a2b3",
    "axes.labelcolor": "#475467",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eaecf0",
    "xtick.color": "#475467",
    "ytick.color": "#475467",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}


@dataclass(frozen=True)
class Picture:
    """A picture that stands in the page itself.

    Attributes:
        source: ``data:`` URI.
        alt: What it shows, in words.
        tiny: It has so few pixels that they are better seen than smoothed.
    """

    source: str
    alt: str
    tiny: bool = False


def data_uri(kind: str, data: bytes) -> str:
    """A file as an address: ``data:<kind>;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def learning_curve(lines: Sequence[dict[str, Any]], metric: str, title: str, best: int | None) -> Picture:
    """One metric over the epochs, on training and validation images; phases are numbered, the best epoch is marked.

    Args:
        lines: Lines of ``metrics.jsonl``, at least one.
        metric: Name of the metric; where the training images have none, only the validation images are drawn.
        title: Label of the vertical axis.
        best: The best epoch (1-based), where there is one.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        epochs = [line["epoch"] for line in lines]
        dot = "o" if len(lines) <= _MARKED_EPOCHS else ""
        for part, color, name in (("train", TRAIN, "training"), ("val", VAL, "validation")):
            values = [line[part][metric] for line in lines if metric in line[part]]
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
        if metric in _SHARES:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        floor = _FLOORS.get(metric)
        if floor is not None and axes.get_ylim()[0] < floor:
            highest = max([floor + 0.1, *(line["val"][metric] for line in lines if line["val"][metric] > floor)])
            axes.set_ylim(floor, highest + 0.05 * (highest - floor))
        axes.legend(fontsize=9)

    first, last = lines[0]["val"][metric], lines[-1]["val"][metric]
    return drawn(draw, f"{title} over {len(lines)} epochs: on validation images from {first:.3f} to {last:.3f}")


def _mark_phases(axes: Axes, lines: Sequence[dict[str, Any]]) -> None:
    """A line where a phase begins, with its number; nothing when there is only one."""
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


def drawn(draw: Callable[[Figure], None], alt: str, height: float = 3.1) -> Picture:
    """A drawing as a picture, in the report's style.

    Args:
        draw: Draws on an empty figure, 4.8 inches wide.
        alt: What it shows, in words.
        height: Of the figure, in inches.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8, height), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Picture(data_uri("image/svg+xml", buffer.getvalue()), alt)
