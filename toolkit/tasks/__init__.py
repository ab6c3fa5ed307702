"""What is learned: the kinds of task, as facts that every part of the toolkit reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["TASKS", "Activation", "Metric", "Task", "TaskName", "monitor_name"]

TaskName = Literal["classification", "multilabel", "regression"]
Activation = Literal["softmax", "sigmoid", "none"]


@dataclass(frozen=True)
class Metric:
    """One number that tells how good a network is.

    Attributes:
        name: Key in results and logs.
        title: What tables call it.
        better: ``max`` when more is better, else ``min``.
    """

    name: str
    title: str
    better: Literal["min", "max"]


@dataclass(frozen=True)
class Task:
    """A kind of task.

    Attributes:
        name: What ``task`` says in a config.
        metrics: What an evaluation measures, ``loss`` among them; the first one is the main one.
        training: Metrics that are also measured on the training batches, besides the loss.
        activation: What turns the network's outputs into what a person wants.
        outputs: What one output stands for: ``class``, ``label`` or ``target``.
    """

    name: TaskName
    metrics: tuple[Metric, ...]
    training: tuple[str, ...]
    activation: Activation
    outputs: str

    def shown(self, outputs: int) -> tuple[Metric, ...]:
        """The metrics that say something of a network with so many outputs: top-5 does not, up to five classes."""
        return tuple(metric for metric in self.metrics if metric.name != "top5" or outputs > _TOP5)

    @property
    def main(self) -> Metric:
        """The metric that decides which epoch is best and how presets compare."""
        return self.metrics[0]

    def metric(self, name: str) -> Metric:
        """The metric of a name.

        Raises:
            KeyError: The task has no such metric.
        """
        return {metric.name: metric for metric in self.metrics}[name]


_TOP5 = 5
_LOSS = Metric("loss", "loss", "min")
_MACRO_F1 = Metric("macro_f1", "macro-F1", "max")

TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "classification": Task(
            "classification",
            (
                Metric("top1", "top-1", "max"),
                Metric("top5", "top-5", "max"),
                Metric("macro_f1", "macro-F1", "max"),
                _LOSS,
            ),
            ("top1",),
            "softmax",
            "class",
        ),
        "multilabel": Task(
            "multilabel",
            (
                Metric("map", "mAP", "max"),
                Metric("macro_f1", "macro-F1", "max"),
                Metric("micro_f1", "micro-F1", "max"),
                _LOSS,
            ),
            (),
            "sigmoid",
            "label",
        ),
        "regression": Task(
            "regression",
            (Metric("r2", "R2", "max"), Metric("mae", "MAE", "min"), Metric("mse", "MSE", "min"), _LOSS),
            (),
            "none",
            "target",
        ),
    }
)

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
