"""What results show of themselves in a notebook: tables, figures and images as HTML, and as text elsewhere."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from rich.console import Console, RenderableType

from toolkit.pages.figures import EmbeddedImage

_WIDTH = 110
_PRE = "font-family:var(--jp-code-font-family,monospace);line-height:1.2;white-space:pre;overflow-x:auto"


@dataclass(frozen=True, repr=False)
class Shown:
    """Something to look at: HTML in a notebook, text elsewhere.

    Attributes:
        text: For a terminal.
        html: For a notebook.
        frame: The same as a pandas frame, if it is a table of data.
    """

    text: str
    html: str
    frame: Any = None

    @classmethod
    def of(cls, *parts: RenderableType) -> Shown:
        """Show a terminal's tables and lines."""
        console = Console(file=io.StringIO(), width=_WIDTH, record=True, force_jupyter=False, highlight=False)
        for part in parts:
            console.print(part, markup=not isinstance(part, str))
        form = f"<pre style='{_PRE}'>{{code}}</pre>"
        html = console.export_html(inline_styles=True, code_format=form, clear=False)
        return cls(console.export_text().rstrip(), html)

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return self.html


def figures_html(images: Iterable[EmbeddedImage]) -> str:
    """Embedded figures, two in a row."""
    style = "display:inline-block;max-width:48%;margin-right:1%;background:white"
    return "".join(
        ["<div>", *(f'<img src="{i.source}" alt="{escape(i.alt)}" style="{style}">' for i in images), "</div>"]
    )


def gallery_html(images: Sequence[tuple[EmbeddedImage | None, str]]) -> str:
    """Thumbnails with a line of text below each; images that cannot be read show the text alone."""
    cells = []
    for image, words in images:
        picture = "" if image is None else f'<img src="{image.source}" alt="{escape(image.alt)}" style="height:110px">'
        cells.append(
            f'<figure style="display:inline-block;margin:4px;text-align:center">{picture}'
            f'<figcaption style="font-size:85%">{escape(words)}</figcaption></figure>'
        )
    return "<div>" + "".join(cells) + "</div>" if cells else "<p>No mistakes.</p>"


def table_html(frame: Any) -> str:
    """A pandas frame."""
    html: str = frame.to_html(border=0)
    return html
