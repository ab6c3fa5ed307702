"""A table of the images that a job trains and evaluates on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.table import Table
from rich.text import Text

from toolkit.core.console import new_table
from toolkit.data.bundle import DataBundle
from toolkit.tasks import TASKS

_MOST_ROWS = 20


def data_table(data: DataBundle) -> Table:
    """Tabulate classes or labels with their images in each split; or targets with mean and range by split.

    Args:
        data: The images, split.

    Returns:
        A rich table; of more than 20 rows, only the first and last 10 are shown, and the caption names the classes with
        the fewest and the most training images.
    """
    task = TASKS[data.task]
    sizes = [f"{len(images):,}" for images in data.splits.values()]
    if task.predicts_numbers:
        rows, numbers = _target_rows(data), ("images", "mean", "min", "max")
        table = new_table(f"data: {len(data.classes)} {task.plural}", task.outputs, "split", *numbers, numeric=numbers)
    else:
        rows, splits = _count_rows(data), tuple(data.splits)
        table = new_table(f"data: {len(data.classes)} {task.plural}", task.outputs, *splits, numeric=splits)
    for column in table.columns[1:]:
        column.no_wrap = True
    table.columns[0].overflow = "fold"
    if len(rows) > _MOST_ROWS:
        half, more = _MOST_ROWS // 2, len(rows) - _MOST_ROWS
        rows = [*rows[:half], [f"... {more} more rows", *([""] * (len(rows[0]) - 1))], *rows[-half:]]
    for name, *cells in rows:
        table.add_row(Text(name if name.isprintable() else repr(name)[1:-1]), *cells)
    if not task.predicts_numbers:
        table.add_section()
        table.add_row("all images", *sizes, style="bold")
        if len(data.classes) > _MOST_ROWS:
            table.caption, table.caption_justify = Text(_extremes(data)), "left"
    return table


def _count_rows(data: DataBundle) -> Sequence[list[str]]:
    counts = data.counts()
    rows = [[name, *(f"{counts[split][name]:,}" for split in data.splits)] for name in data.classes]
    bare = [TASKS[data.task].unlabelled(images.labels) for images in data.splits.values()]
    return [*rows, ["(none of them)", *(f"{count:,}" for count in bare)]] if any(bare) else rows


def _target_rows(data: DataBundle) -> Sequence[list[str]]:
    found = data.describe_targets()
    return [
        [name, split, f"{len(images):,}", *(f"{found[split][name][key]:.4g}" for key in ("mean", "min", "max"))]
        for name in data.classes
        for split, images in data.splits.items()
    ]


def _extremes(data: DataBundle) -> str:
    counts = list(data.counts()["train"].values())
    least, most = int(np.argmin(counts)), int(np.argmax(counts))
    return f"train: {counts[least]:,} ({data.classes[least]}) to {counts[most]:,} ({data.classes[most]})"
