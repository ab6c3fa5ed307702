"""A report read back: tags, attributes and text of an HTML page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from toolkit.bakeoff import Comparison
from toolkit.explain import write_report

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """What is in a page: tags, attributes, text; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.parts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).replace("\u00a0", " ").split())

    def having(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        return [of for name, of in self.tags if name == tag and all(of.get(k) == v for k, v in wanted.items())]

    @property
    def sections(self) -> list[str | None]:
        return [of.get("id") for of in self.having("section")]


def page_of(run: Any, comparison: list[Comparison] | None = None) -> Page:
    """Write a run's report, and read it."""
    path = write_report(*run, comparison)
    assert path == run.folder.path / "report.html"
    return Page(path.read_text(encoding="utf-8"))
