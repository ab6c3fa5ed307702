"""The options ``--shift`` and ``--severities``, and the table that ``eval --shift`` prints."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.table import Table

from toolkit.core.console import new_table
from toolkit.core.errors import ConfigError

if TYPE_CHECKING:
    from toolkit.engine.shift import Shift, ShiftLoss

_MOST = 5


def shift_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--shift", action="store_true", help="also on corrupted images: blur, noise, light, JPEG, crops"
    )
    parser.add_argument("--severities", metavar="A,B", help="with --shift: severities from 1 to 5 (default 1,3,5)")


def severities_of(args: argparse.Namespace) -> tuple[int, ...]:
    """Return the severities that were asked for, increasing; none without ``--shift``.

    Raises:
        ConfigError: They are not numbers from 1 to 5, or there is no ``--shift``.
    """
    if args.severities is None:
        return (1, 3, 5) if args.shift else ()
    if not args.shift:
        raise ConfigError("--severities needs --shift", hint="add --shift")
    words = [word.strip() for word in args.severities.split(",")]
    if not all(word.isdecimal() and 1 <= int(word) <= _MOST for word in words):
        raise ConfigError(f"--severities is {args.severities}; expected numbers from 1 to {_MOST}, such as 1,3,5")
    return tuple(sorted({int(word) for word in words}))


def shift_table(shift: Shift) -> Table:
    """Show the losses, a row for each corruption and a column for each severity."""
    from toolkit.data.corruptions import CORRUPTIONS
    from toolkit.pages.words import lost_words, metric_words
    from toolkit.tasks import METRICS

    metric = METRICS[shift.metric]
    titles = {corruption.name: corruption.title for corruption in CORRUPTIONS}
    unit = " points" if metric.share else ""

    def cells(losses: Iterable[ShiftLoss]) -> list[str]:
        shown = ((metric_words(metric.name, loss.value), lost_words(metric, loss.lost, loss.error)) for loss in losses)
        return [f"{value}  {lost}" for value, lost in shown]

    columns = [f"severity {severity}" for severity in shift.severities]
    title = f"under shift: {metric.title}, and{unit} lost ± standard error"
    table = new_table(title, "images", *columns, numeric=tuple(columns))
    table.add_row("as they are", *[metric_words(metric.name, shift.clean)] * len(columns))
    for name, losses in shift.rows():
        table.add_row(titles.get(name or "", "mean"), *cells(losses), style=None if name else "bold")
    return table


def shift_words(shift: Shift) -> str:
    """Return the mean over all corruptions and severities in one line."""
    from toolkit.pages.words import lost_words, metric_words
    from toolkit.tasks import METRICS

    metric, mean = METRICS[shift.metric], shift.mean
    lost = lost_words(metric, mean.lost, mean.error)
    points = " points" if metric.share else ""
    return f"under shift: {metric.title} {metric_words(metric.name, mean.value)} on average, {lost}{points} lost"
