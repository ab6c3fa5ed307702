"""Figures for advice: how well each stage separates the classes, and each layer's distance from the source."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from toolkit.advise.choose import best_stage
from toolkit.advise.measurement import Depth, Distances
from toolkit.advise.thresholds import EvidenceRule
from toolkit.pages.figures import GRAY, TRAIN, VAL, EmbeddedImage, drawn

_DASHED = (0, (4, 3))
_MANY = 40


def depth_figure(depth: Depth, title: str) -> EmbeddedImage:
    """Plot the score of a linear probe over the number of stages, with standard errors and the best stage marked.

    Args:
        depth: The probes.
        title: Name of the score.
    """
    best = best_stage(depth)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        counts = list(range(1, len(depth.scores) + 1))
        low = [score - error for score, error in zip(depth.scores, depth.errors, strict=True)]
        high = [score + error for score, error in zip(depth.scores, depth.errors, strict=True)]
        axes.fill_between(counts, low, high, color=VAL, alpha=0.15, linewidth=0)
        axes.plot(counts, depth.scores, color=VAL, marker="o" if len(counts) <= _MANY else "", markersize=3.2)
        axes.plot([best], [depth.scores[best - 1]], "o", markersize=9, markerfacecolor="none", color=VAL, label="best")
        axes.axhline(depth.chance, color=GRAY, linewidth=1, linestyle=_DASHED, label="without looking")
        axes.set_xlabel("stages below the probe")
        axes.set_ylabel(title)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(fontsize=8.5, loc="outside upper left", ncols=2, columnspacing=1.2, handlelength=1.6)

    words = f"{title} of a linear probe from {depth.scores[0]:.2f} after the first stage to {depth.scores[-1]:.2f}"
    return drawn(draw, f"{words} after the last; best after stage {best}", height=3.3)


def distance_figure(distances: Distances, rule: EvidenceRule) -> EmbeddedImage:
    """Plot the distance of each BatchNorm layer's statistics from the source by depth, and the calibration's ranges."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        layers = list(range(1, len(distances.layers) + 1))
        for limits, color, name in (
            (rule.range_similar, VAL, "similar sets"),
            (rule.range_different, "#c2410c", "different sets"),
        ):
            axes.axhspan(*limits, color=color, alpha=0.12, linewidth=0, label=name)
        axes.plot(layers, [max(value, 1e-5) for value in distances.layers], color=TRAIN, linewidth=1.4, label="layers")
        axes.axhline(distances.mean, color=VAL, linewidth=1.6, label="their mean")
        axes.set_yscale("log")
        axes.set_xlabel("BatchNorm layer, by depth")
        axes.set_ylabel("nats")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(fontsize=8.5, loc="outside upper left", ncols=4, columnspacing=1.2, handlelength=1.6)

    return drawn(draw, f"distance of {len(distances.layers)} layers, mean {distances.mean:.3f} nats", height=3.3)
