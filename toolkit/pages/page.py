"""Self-contained pages: from a template to a file."""

from __future__ import annotations

from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from toolkit.core.files import clear_os_errors, write_text
from toolkit.pages.words import fixed, in_scale, number, percent, span


def new_environment(package: str) -> Environment:
    """The template environment, with autoescaping and filters for numbers.

    Args:
        package: Package whose folder ``templates`` holds the pages (``toolkit.explain``). They extend ``page.html``,
            the shared head and style.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("toolkit.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        fixed=fixed,
        number=number,
        in_scale=in_scale,
        fixed_span=lambda interval: span(interval, fixed),
        number_span=lambda interval: span(interval, number),
        grouped=lambda number: f"{number:,}",
        short=lambda value: "–" if value is None else f"{value:.3g}",
    )
    return environment


def write_page(path: Path, page: str) -> Path:
    """Write a page atomically; file names in it need not be valid UTF-8.

    Raises:
        ToolkitError: The folder cannot be written.
    """
    with clear_os_errors(str(path)):
        write_text(path, page.encode("utf-8", "backslashreplace").decode("utf-8"))
    return path
