"""What callbacks can watch: the one list of monitors, made of the tasks' metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from toolkit.tasks.base import Task
from toolkit.tasks.registry import METRICS, TASKS


def monitors_of(tasks: Iterable[Task], *, averages: bool) -> tuple[str, ...]:
    """What trainings of these tasks measure after each epoch: ``val/loss``, ``train/top1``, ...

    Args:
        tasks: The tasks.
        averages: Whether averaged weights are measured too, as ``val/avg_loss``.
    """
    tasks = tuple(tasks)
    names = dict.fromkeys(metric.name for task in tasks for metric in task.metrics)
    found = [f"val/{name}" for name in names]
    found += [f"train/{name}" for name in dict.fromkeys(name for task in tasks for name in ("loss", *task.training))]
    return (*found, *(f"val/avg_{name}" for name in names)) if averages else tuple(found)


MONITORS = monitors_of(TASKS.values(), averages=True)
"""All that any training measures."""
TRAINING_METRICS = tuple(name.removeprefix("train/") for name in MONITORS if name.startswith("train/"))
"""Names of all metrics that are measured on training batches."""
_PARTS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val"}
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
"""How Keras, Paddle's high-level API and PaddleClas call metrics."""


def monitor_name(text: str) -> str:
    """The full name of a metric to watch, also from the spellings of other frameworks; a plain name means ``val/``.

    Example:
        >>> [monitor_name(text) for text in ("val_loss", "acc", "train/top1", "val_avg_top1")]
        ['val/loss', 'val/top1', 'train/top1', 'val/avg_top1']
    """
    words = text.strip()
    begin, sign, rest = words.partition("/") if "/" in words else words.partition("_")
    part = _PARTS.get(begin.lower()) if sign else None
    if part is None:
        if "/" in words:
            return words  # an unknown part, which is refused where it is read
        part, rest = "val", words
    name = rest.lower()
    average = "avg_" if name.startswith("avg_") else ""
    name = name.removeprefix(average)
    return f"{part}/{average}{_SPELLINGS.get(name, name)}"


def better_of(monitor: str) -> Literal["min", "max"]:
    """Whether less or more is better of a monitor; more, where it is unknown."""
    metric = METRICS.get(monitor.rpartition("/")[2].removeprefix("avg_"))
    return "max" if metric is None else metric.better
