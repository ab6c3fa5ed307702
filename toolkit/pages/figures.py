"""Figures as images embedded in a page.

They contain none of the user's text, and the browser draws their labels: no font is needed on the machine that writes
the page. ``pyplot`` and matplotlib's settings are not touched.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.figure import Figure

TRAIN, VAL, GRAY = "#98a2b3", "#1d5fbf", "#667085"
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
class EmbeddedImage:
    """An image embedded in a page.

    Attributes:
        source: ``data:`` URI.
        alt: Description of the image.
        tiny: Whether it has so few pixels that they are shown unsmoothed.
    """

    source: str
    alt: str
    tiny: bool = False


def data_uri(kind: str, data: bytes) -> str:
    """A file as a data URI: ``data:<kind>;base64,...``."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def drawn(draw: Callable[[Figure], None], alt: str, height: float = 3.1) -> EmbeddedImage:
    """Render a drawing as an image, in the style of all pages.

    Args:
        draw: Draws on an empty figure, 4.8 inches wide.
        alt: Description of the image.
        height: Height of the figure, in inches.
    """
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.8, height), layout="constrained")
        draw(figure)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return EmbeddedImage(data_uri("image/svg+xml", buffer.getvalue()), alt)
