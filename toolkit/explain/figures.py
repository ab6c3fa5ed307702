"""The figures of a report: matplotlib drawings as pictures inside of the page.

They hold no words of the user's, and their text is drawn by the browser: no font has to be installed where the report
is written. ``pyplot`` and the settings of matplotlib are left alone.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from toolkit.explain.calibration import Calibration

__all__ = ["Picture", "data_uri", "learning_curve", "reliability_diagram"]

TRAIN, VAL, GRAY = "#98a2b3", "#1d5fbf", "#667085"
TOO_SURE, TOO_MODEST = "#f6b08e", "#a9c8f5"
_MARKED_EPOCHS = 40
"""Longer curves are drawn without a dot an epoch."""
_STYLE: dict[Any, Any] = {
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
        metric: ``loss`` or ``top1``.
        title: Label of the vertical axis.
        best: The best epoch (1-based), where there is one.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        epochs = [line["epoch"] for line in lines]
        dot = "o" if len(lines) <= _MARKED_EPOCHS else ""
        for part, color, name in (("train", TRAIN, "training"), ("val", VAL, "validation")):
            values = [line[part][metric] for line in lines]
            axes.plot(epochs, values, color=color, marker=dot, markersize=3.2, label=name)
        marked = [line["val"][metric] for line in lines if line["epoch"] == best]
        if marked and best is not None:
            axes.plot([best], marked, "o", markersize=9, markerfacecolor="none", color=VAL, label="best epoch")
        _mark_phases(axes, lines)
        axes.set_xlabel("epoch")
        axes.set_ylabel(title)
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if metric == "top1":
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.legend(fontsize=9)

    first, last = lines[0]["val"][metric], lines[-1]["val"][metric]
    return _drawn(draw, f"{title} over {len(lines)} epochs: on validation images from {first:.3f} to {last:.3f}")


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


def reliability_diagram(calibration: Calibration) -> Picture:
    """Accuracy over confidence in bins, and below it how many predictions there are in each.

    The form of Guo et al. 2017, arXiv:1706.04599, figure 1.
    """

    def draw(figure: Figure) -> None:
        bins = len(calibration.counts)
        middles = [(index + 0.5) / bins for index in range(bins)]
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        some = [index for index in range(bins) if calibration.counts[index]]
        places = [middles[index] for index in some]
        said, right = [calibration.confidence[i] for i in some], [calibration.accuracy[i] for i in some]
        both = [min(pair) for pair in zip(said, right, strict=True)]
        upper.bar(places, both, 0.92 / bins, color=VAL)
        for gap, color, name in (
            ([a - b for a, b in zip(said, both, strict=True)], TOO_SURE, "surer than right"),
            ([a - b for a, b in zip(right, both, strict=True)], TOO_MODEST, "more often right than sure"),
        ):
            upper.bar(places, gap, 0.92 / bins, both, color=color, label=name)
        upper.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=(0, (4, 3)), label="as it should be")
        upper.set_ylim(0, 1.02)
        upper.set_xlim(0, 1)
        upper.set_ylabel("accuracy")
        figure.legend(fontsize=8.5, loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=1.6)
        lower.bar(middles, calibration.counts, 0.92 / bins, color=TRAIN)
        lower.set_ylabel("images")
        lower.set_xlabel("confidence")
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axis in (upper.yaxis, lower.xaxis):
            axis.set_major_formatter(PercentFormatter(1.0))

    return _drawn(draw, f"accuracy over confidence; expected calibration error {calibration.error:.3f}", height=3.9)


def _drawn(draw: Callable[[Figure], None], alt: str, height: float = 3.1) -> Picture:
    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, height), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return Picture(data_uri("image/svg+xml", buffer.getvalue()), alt)
