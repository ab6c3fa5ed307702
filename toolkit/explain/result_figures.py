"""Figures of results: calibration, precision and recall, and predictions against true values.

They contain no names from the user: several curves in a figure are numbered, and the page names them.
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
from toolkit.pages.figures import GRAY, TRAIN, VAL, EmbeddedImage, drawn

OVERCONFIDENT, UNDERCONFIDENT = "#f6b08e", "#a9c8f5"
CURVE_COLORS = ("#1d5fbf", "#c2410c", "#0e7c66", "#8b3fb0")
"""Colours of the curves in a figure, in order."""
_VECTORS = 300
"""More points than this are stored as pixels."""
_BINS = 50
_DASHED = (0, (4, 3))
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ReliabilityWords:
    """Labels of a reliability diagram.

    Attributes:
        confidence: Label of the horizontal axis.
        accuracy: Label of the vertical axis.
        overconfident: Legend where confidence exceeds accuracy.
        underconfident: Legend where accuracy exceeds confidence.
        counted: Label of the counts in the lower panel.
    """

    confidence: str = "confidence"
    accuracy: str = "accuracy"
    overconfident: str = "overconfident"
    underconfident: str = "underconfident"
    counted: str = "images"


_CLASSES = ReliabilityWords()


def reliability_diagram(calibration: Calibration, words: ReliabilityWords = _CLASSES) -> EmbeddedImage:
    """Plot accuracy over confidence in bins, and below it the number of predictions in each.

    The form of Guo et al. 2017, arXiv:1706.04599, figure 1.
    """

    def draw(figure: Figure) -> None:
        bins = len(calibration.counts)
        middles = [(index + 0.5) / bins for index in range(bins)]
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        some = [index for index in range(bins) if calibration.counts[index]]
        positions = [middles[index] for index in some]
        confidence, accuracy = [calibration.confidence[i] for i in some], [calibration.accuracy[i] for i in some]
        both = [min(pair) for pair in zip(confidence, accuracy, strict=True)]
        upper.bar(positions, both, 0.92 / bins, color=VAL)
        for gap, color, name in (
            ([a - b for a, b in zip(confidence, both, strict=True)], OVERCONFIDENT, words.overconfident),
            ([a - b for a, b in zip(accuracy, both, strict=True)], UNDERCONFIDENT, words.underconfident),
        ):
            upper.bar(positions, gap, 0.92 / bins, both, color=color, label=name)
        upper.plot([0, 1], [0, 1], color=GRAY, linewidth=1, linestyle=_DASHED, label="ideal")
        upper.set_ylim(0, 1.02)
        upper.set_xlim(0, 1)
        upper.set_ylabel(words.accuracy)
        figure.legend(fontsize=8.5, loc="outside upper left", ncols=3, columnspacing=1.2, handlelength=1.6)
        lower.bar(middles, calibration.counts, 0.92 / bins, color=TRAIN)
        lower.set_ylabel(words.counted)
        lower.set_xlabel(words.confidence)
        lower.yaxis.set_major_locator(MaxNLocator(2, integer=True))
        for axis in (upper.yaxis, lower.xaxis):
            axis.set_major_formatter(PercentFormatter(1.0))

    alt = f"{words.accuracy} over {words.confidence}; expected calibration error {calibration.error:.3f}"
    return drawn(draw, alt, height=3.9)


def precision_recall(curves: Sequence[tuple[Floats, NDArray[np.bool_]]]) -> EmbeddedImage:
    """Plot precision over recall for falling thresholds; curves are numbered from 1, in ``CURVE_COLORS``.

    Args:
        curves: For each label, its scores ``[N]`` and which images have it ``[N]``, at least one. At most as many as
            there are colours.
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


def predicted_against_true(predicted: Floats, true: Floats) -> EmbeddedImage:
    """Plot predicted over true values, one dot per image, with the line of equality.

    Args:
        predicted: Predicted values of one target, ``[N]``.
        true: True values, ``[N]``.
    """

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        low, high = float(min(predicted.min(), true.min())), float(max(predicted.max(), true.max()))
        axes.plot([low, high], [low, high], color=GRAY, linewidth=1, linestyle=_DASHED, label="ideal")
        many = len(true) > _VECTORS
        alpha = 0.65 if not many else max(0.12, 0.65 * (_VECTORS / len(true)) ** 0.5)
        axes.plot(true, predicted, "o", markersize=3.5, markeredgewidth=0, color=VAL, alpha=alpha, rasterized=many)
        axes.set_xlabel("true")
        axes.set_ylabel("predicted")
        axes.legend(fontsize=9)

    return drawn(draw, f"predicted over true values of {len(true)} images", height=3.6)


def residuals(error: Floats) -> EmbeddedImage:
    """Plot the distribution of errors.

    Args:
        error: Predicted minus true values of one target, ``[N]``.
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

    return drawn(draw, f"distribution of the errors of {len(error)} predictions", height=3.6)
