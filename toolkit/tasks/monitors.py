"""What callbacks can monitor, derived from the metrics of the tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from toolkit.tasks.base import Task
from toolkit.tasks.registry import METRICS, TASKS


def monitors_of(tasks: Iterable[Task], *, averages: bool) -> tuple[str, ...]:
    """Return what training measures for these tasks after each epoch: ``val/loss``, ``train/top1``, ...

    Args:
        tasks: The tasks.
        averages: Whether to include averaged weights, as ``val/avg_loss``.
    """
    tasks = tuple(tasks)
    names = dict.fromkeys(metric.name for task in tasks for metric in task.metrics)
    found = [f"val/{name}" for name in names]
    found += [f"train/{name}" for name in dict.fromkeys(name for task in tasks for name in ("loss", *task.training))]
    return (*found, *(f"val/avg_{name}" for name in names)) if averages else tuple(found)


MONITORS = monitors_of(TASKS.values(), averages=True)
"""Everything that training can measure."""
TRAINING_METRICS = tuple(name.removeprefix("train/") for name in MONITORS if name.startswith("train/"))
"""Names of the metrics measured on training batches."""
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
_SPELLINGS = {
    "acc": "top1",
    "accuracy": "top1",
    "top1_acc": "top1",
    "acc_top1": "top1",
    "top5_acc": "top5",
    "acc_top5": "top5",
    "f1": "macro_f1",
    "macro f1": "macro_f1",
}
"""Names of metrics in Keras, Paddle's high-level API and PaddleClas."""


def monitor_name(text: str) -> str:
    """Return the full name of a monitor, given any framework's spelling; a bare name means ``val/``.

    Example:
        >>> [monitor_name(text) for text in ("val_loss", "acc", "train/top1", "val_avg_top1")]
        ['val/loss', 'val/top1', 'train/top1', 'val/avg_top1']
    """
    words = text.strip()
    start, separator, rest = words.partition("/") if "/" in words else words.partition("_")
    split = _SPLITS.get(start.lower()) if separator else None
    if split is None:
        if "/" in words:
            return words  # an unknown split, which the config refuses
        split, rest = "val", words
    name = rest.lower()
    average = "avg_" if name.startswith("avg_") else ""
    name = name.removeprefix(average)
    return f"{split}/{average}{_SPELLINGS.get(name, name)}"


def better_of(monitor: str) -> Literal["min", "max"]:
    """Return whether lower or higher is better; higher for unknown monitors."""
    metric = METRICS.get(monitor.rpartition("/")[2].removeprefix("avg_"))
    return "max" if metric is None else metric.better
