"""Numbers formatted for people."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, isfinite, log10

from toolkit.tasks import METRICS, Metric

_LARGE, _SMALL = 1e4, 1e-3
_MOST_DECIMALS = 6


def percent(share: float) -> str:
    """A share in percent; anything short of all is never shown as ``100.0 %``."""
    words = f"{100 * share:.1f}"
    return f"{'over 99.9' if share < 1 and words == '100.0' else words}\u00a0%"


def fixed(value: float | None) -> str:
    """A number without a unit, to three decimals; a dash for None."""
    if value is None:
        return "–"
    words = f"{value:.3f}"
    return "0.000" if words == "-0.000" else words.replace("-", "−")


def number(value: float | None) -> str:
    """A number in any unit, to four digits: ``0.01235``, ``12.35``, ``1235``, ``12,346``; a dash for None."""
    if value is None:
        return "–"
    size = abs(value)
    if not isfinite(value) or size == 0:
        words = f"{value:g}"
    elif _LARGE <= size < _LARGE**3:
        words = f"{value:,.0f}"
    else:
        words = f"{value:.4g}" if size >= _SMALL else f"{value:.3g}"
    return words.replace("-", "−")


def in_scale(value: float, scale: float) -> str:
    """A number with enough decimals to tell values apart: a hundredth of ``scale``, their standard deviation."""
    decimals = 2 - floor(log10(scale)) if scale > 0 and isfinite(scale) else _MOST_DECIMALS + 1
    if decimals > _MOST_DECIMALS or abs(value) >= _LARGE**3:
        return number(value)
    comma = "," if abs(value) >= _LARGE else ""
    words = f"{value:{comma}.{max(0, decimals)}f}"
    return words.lstrip("-") if float(words.replace(",", "")) == 0 else words.replace("-", "−")


def span(interval: tuple[float, float] | None, words: Callable[[float], str]) -> str:
    """An interval as ``0.81 to 0.86``; a dash for None."""
    return "–" if interval is None else f"{words(interval[0])} to {words(interval[1])}"


def metric_words(name: str, value: float) -> str:
    """Format a metric's value: accuracies in percent, errors in their unit, the rest to three decimals."""
    metric = METRICS.get(name)
    if metric is None or not (metric.share or metric.in_units):
        return fixed(value)
    return percent(value) if metric.share else number(value)


def gap_words(metric: Metric, gap: float) -> str:
    """Format the difference of two values; accuracies in points."""
    if metric_words(metric.name, 0.5) == percent(0.5):
        words = f"{100 * gap:.1f}"
        return f"{'0.0' if words == '-0.0' else words.replace('-', '−')} points"
    return (number if metric_words(metric.name, 0.5) == number(0.5) else fixed)(gap)


def lost_words(metric: Metric, lost: float, error: float | None) -> str:
    """Format a loss and its standard error: ``1.2 ± 0.4``; accuracies in points."""
    words = [gap_words(metric, value).removesuffix(" points") for value in (lost, error) if value is not None]
    return " ± ".join(words)
