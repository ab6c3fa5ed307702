"""The figures of results: calibration, precision and recall, predictions against the truth.

They hold no words of the user's: several curves in one figure are numbered, and the page says which is which.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from toolkit.explain.calibration import Calibration
from toolkit.pages.figures import GRAY, TRAIN, VAL, Picture, drawn

TOO_SURE, TOO_MODEST = "#f6b08e", "#a9c8f5"
CURVE_COLORS = ("#1d5fbf", "#c2410c", "#0e7c66", "#8b3fb0")
"""Of the curves of one figure, in order."""
_VECTORS = 300
"""More points than these are stored as pixels."""
_BINS = 50
_DASHED = (0, (4, 3))
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ReliabilityWords:
    """What a reliability diagram calls things.

    Attributes:
        said: The horizontal axis.
        so: The vertical axis.
        too_sure: Where more is said than is so.
        too_modest: Where less is said than is so.
        counted: What is counted in the lower part.
    """

    said: str = "confidence"
    so: str = "accuracy"
    too_sure: str = "surer than right"
    too_modest: str = "more often right than sure"
    counted: str = "images"


_CLASSES = ReliabilityWords()


def reliability_diagram(calibration: Calibration, words: ReliabilityWords = _CLASSES) -> Picture:
    """What is so over what was said, in bins, and below it how many predictions there are in each.

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
            ([a - b for a, b in zip(said, both, strict=True)], TOO_SURE, words.too_sure),
            ([a - b for a, b in zip(right, both, strict=True)], TOO_MODEST, words.too_modest),
        ):
            upper.bar(places, gap, 0.92 / bins, both, color=color, label=name)
        upper.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=_DASHED, label="as it should be")
        upper.set_ylim(0, 1.02)
        upper.set_xlim(0, 1)
        upper.set_ylabel(words.so)
        figure.legend(fontsize=8.5, loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=1.6)
        lower.bar(middles, calibration.counts, 0.92 / bins, color=TRAIN)
        lower.set_ylabel(words.counted)
        lower.set_xlabel(words.said)
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axis in (upper.yaxis, lower.xaxis):
            axis.set_major_formatter(PercentFormatter(1.0))

    alt = f"{words.so} over {words.said}; expected calibration error {calibration.error:.3f}"
    return drawn(draw, alt, height=3.9)


def precision_recall(curves: Sequence[tuple[Floats, NDArray[np.bool_]]]) -> Picture:
    """Precision over recall as the threshold falls; curves are numbered from 1, in ``CURVE_COLORS``.

    Args:
        curves: For each label its scores ``[N]``, and which images have it ``[N]``, at least one. As many as there are
            colours at most.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for index, (scores, true) in enumerate(curves):
            precision, recall, _ = precision_recall_curve(true, scores)
            color, name = CURVE_COLORS[index], str(index + 1)
            axes.plot(recall, precision, color=color, drawstyle="steps-post", linewidth=1.6, label=name)
        axes.set_xlabel("recall")
        axes.set_ylabel("precision")
        axes.set_xlim(0, 1.01)
        axes.set_ylim(0, 1.03)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1.0))
        figure.legend(fontsize=9, loc="outside upper left", ncols=len(curves), columnspacing=1.4, handlelength=1.6)

    return drawn(draw, f"precision over recall of {len(curves)} label{'s' if len(curves) > 1 else ''}", height=3.5)


def predicted_against_true(predicted: Floats, true: Floats) -> Picture:
    """One dot an image: predicted over true, with the line where they are equal.

    Args:
        predicted: One target's values ``[N]``.
        true: ``[N]``.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        low, high = float(min(predicted.min(), true.min())), float(max(predicted.max(), true.max()))
        axes.plot([low, high], [low, high], color=GRAY, linewidth=1, linestyle=_DASHED, label="as it should be")
        many = len(true) > _VECTORS
        alpha = 0.65 if not many else max(0.12, 0.65 * (_VECTORS / len(true)) ** 0.5)
        axes.plot(true, predicted, "o", markersize=3.5, markeredgewidth=0, color=VAL, alpha=alpha, rasterized=many)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.legend(fontsize=9)

    return drawn(draw, f"predicted over true values of {len(true)} images", height=3.6)


def residuals(error: Floats) -> Picture:
    """How often predictions are off by how much.

    Args:
        error: One target's predicted minus true values ``[N]``.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        bins = int(np.clip(np.ceil(2 * len(error) ** (1 / 3)), 5, _BINS))  # Rice's rule
        axes.hist(error, bins=bins, color=TRAIN)
        axes.axvline(0, color=GRAY, linewidth=1, linestyle=_DASHED)
        axes.axvline(float(error.mean()), color=VAL, linewidth=1.6, label="mean")
        axes.set_xlabel("predicted minus true")
        axes.set_ylabel("images")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=9)

    return drawn(draw, f"how many of {len(error)} predictions are off by how much", height=3.6)
