"""The figure of the learning rate range test."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toolkit.core.files import clear_os_errors
from toolkit.engine.lr.curve import RangeCurve
from toolkit.engine.lr.range_test import RangeTest
from toolkit.pages.figures import GRAY, STYLE, TRAIN, VAL

_SUGGESTED = "#b42318"
_HEADROOM = 1.5
"""The axis ends at this multiple of the first loss, because divergence would flatten the rest."""


def write_lr_figure(test: RangeTest, path: Path) -> Path:
    """Plot loss over learning rate, with one panel each for the head and the backbone, and write a PNG.

    Args:
        test: Result of the range test.
        path: Output path.
    """
    curves = test.curves
    with matplotlib.rc_context(STYLE), clear_os_errors(str(path)):
        figure = Figure(figsize=(5.2 * len(curves), 3.6), dpi=150, layout="constrained")
        for position, curve in enumerate(curves, 1):
            _panel(figure.add_subplot(1, len(curves), position), curve, test.optimizer)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png", metadata={"Software": None})
    return path


def _panel(axes: Axes, curve: RangeCurve, optimizer: str) -> None:
    axes.plot(curve.rates, curve.losses, color=TRAIN, linewidth=0.9, label="loss of a batch")
    axes.plot(curve.rates, curve.smooth, color=VAL, label="smoothed")
    axes.set_xscale("log")
    axes.set_xlim(curve.rates[0], curve.rates[-1])
    least, first = min(curve.smooth), max(curve.smooth[: max(1, len(curve.smooth) // 2)])
    bottom, top = min(least, *curve.losses), max(first * _HEADROOM, least * 2)
    axes.set_ylim(bottom - 0.05 * (top - bottom), top)
    for rate, name, style in (
        (curve.steepest, "falls fastest", (0, (4, 3))),
        (curve.least, "least loss", (0, (1, 4))),
        (curve.min_tenth, "near least / 10", (0, (1, 2))),
    ):
        if rate is not None and curve.rates[0] <= rate:
            axes.axvline(rate, color=GRAY, linewidth=1, linestyle=style, label=f"{name}: {rate:.2g}")
    axes.axvline(curve.suggestion, color=_SUGGESTED, linewidth=1.6, label=f"suggested: {curve.suggestion:.2g}")
    axes.set_title(f"{curve.part} ({optimizer})", fontsize=11)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.legend(fontsize=8.5)
