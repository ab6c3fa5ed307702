"""What a run loses when its evaluation images are corrupted (``toolkit.data.corruptions``), by the task's main metric.

Standard errors are paired over the images: what counts is how much a loss varies with the images, not how much the
metric does. They are the jackknife's (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 11): leaving
out one image after another where the metric is a share of the images, which gives the usual error of a mean of paired
differences, and else one of 20 random groups (Kott 2001, "The Delete-a-Group Jackknife", Journal of Official Statistics
17:521).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.console import info, progress
from toolkit.core.errors import ConfigError
from toolkit.core.random import Stream, generator
from toolkit.data import ImageCache, ImageSet
from toolkit.data.corruptions import CORRUPTIONS, SEVERITIES, USUAL_SEVERITIES, CorruptedView
from toolkit.data.image_cache import SHARE, free_memory
from toolkit.engine.evaluate import evaluation_views, outputs_of_views
from toolkit.engine.runs.trained import TrainedRun
from toolkit.tasks import Metric, Task

_GROUPS = 20
_FORMAT = 1
"""Increased when the corruptions or what is measured change: what was stored before is then measured again."""
_Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ShiftLoss:
    """What the main metric loses under one corruption, or on average over several.

    Attributes:
        corruption: Name of the corruption; None: the mean over all of them.
        severity: 1 to 5; None: the mean over all that were measured.
        value: The metric on the corrupted images.
        lost: How much worse that is than on the images as they are, in the metric's unit; < 0 if it is better.
        error: Standard error of ``lost``, paired over the images; None for a single image.
    """

    corruption: str | None
    severity: int | None
    value: float
    lost: float
    error: float | None


@dataclass(frozen=True)
class Shift:
    """A run on corrupted evaluation images.

    Attributes:
        metrics: All metrics on the images as they are.
        metric: Name of the main metric, which the losses are about.
        images: Number of images.
        views: Number of views per image whose outputs are averaged.
        severities: The severities.
        losses: One for each corruption and severity, in order.
        means: The mean over the corruptions at each severity.
        mean: The mean over corruptions and severities.
    """

    metrics: Mapping[str, float]
    metric: str
    images: int
    views: int
    severities: tuple[int, ...]
    losses: tuple[ShiftLoss, ...]
    means: tuple[ShiftLoss, ...]
    mean: ShiftLoss

    @property
    def clean(self) -> float:
        """The main metric on the images as they are."""
        return self.metrics[self.metric]

    @property
    def passes(self) -> int:
        """Number of times that the network was run on all images."""
        return _passes(self.severities, self.views)

    def rows(self) -> Iterator[tuple[str | None, tuple[ShiftLoss, ...]]]:
        """Yield the name of each corruption, at last None, with its losses by severity."""
        for corruption in CORRUPTIONS:
            yield corruption.name, tuple(loss for loss in self.losses if loss.corruption == corruption.name)
        yield None, self.means

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "format": _FORMAT,
            "metric": self.metric,
            "clean": self.clean,
            "severities": list(self.severities),
            "images": self.images,
            "views": self.views,
            "passes": self.passes,
            "corruptions": [asdict(loss) for loss in self.losses],
            "by_severity": [asdict(loss) for loss in self.means],
            "mean": asdict(self.mean),
            "metrics": dict(self.metrics),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Shift | None:
        """Invert ``to_json``; None for another set of corruptions.

        Raises:
            KeyError, TypeError: The values are something else.
        """
        if values["format"] != _FORMAT:
            return None
        losses, means = ([ShiftLoss(**loss) for loss in values[key]] for key in ("corruptions", "by_severity"))
        severities, mean = tuple(values["severities"]), ShiftLoss(**values["mean"])
        counts = (values["images"], values["views"])
        return cls(values["metrics"], values["metric"], *counts, severities, tuple(losses), tuple(means), mean)


def measure_shift(
    run: TrainedRun, images: ImageSet, severities: Sequence[int] = USUAL_SEVERITIES, tta: int = 1
) -> Shift:
    """Evaluate a run on images as they are and under every corruption.

    Decoded images are kept in memory as far as half of what is free suffices.

    Args:
        run: The run.
        images: Labelled images; see ``TrainedRun.evaluate``.
        severities: Increasing, each 1 to 5.
        tta: Number of views per image whose outputs are averaged, >= 1; each is corrupted after it is cut out.

    Raises:
        ConfigError: There is no such severity.
    """
    unknown = sorted(set(severities) - set(SEVERITIES))
    if unknown or not severities:
        raise ConfigError(f"severities of a shift: expected some of 1 to {SEVERITIES[-1]} (found {list(severities)})")
    changes = [CorruptedView(corruption, severity) for corruption in CORRUPTIONS for severity in severities]
    views = evaluation_views(run.facts.preprocessing, run.facts.flip, tta)
    task = run.objective.task
    room = int(SHARE * free_memory() / len(views))
    caches = [ImageCache(room) for _ in views]
    levels = ", ".join(map(str, severities))
    each = f" in {tta} views" if tta > 1 else ""
    count = _passes(severities, tta)
    info(
        f"under shift: {len(CORRUPTIONS)} corruptions at severities {levels}, and the images as they are: "
        f"{count} passes over {len(images)} images{each}"
    )
    values, replicates, metrics = [], [], dict[str, float]()
    with progress() as bar:
        passes = bar.add_task("under shift", total=1 + len(changes))
        for change in (None, *changes):
            seen = zip(views, caches, strict=True)
            batches = [run.batches(images, view, change=change, cache=cache) for view, cache in seen]
            outputs = outputs_of_views(run.network, run.objective, batches, run.config.train)
            found = run.objective.metrics(outputs, images.labels)
            metrics = metrics or found
            values.append(found[task.main.name])
            replicates.append(leave_out(task, outputs, images.labels))
            bar.advance(passes)
    return _summary(metrics, task, len(images), tta, changes, np.array(values), np.array(replicates))


def _passes(severities: Sequence[int], views: int) -> int:
    return views * (1 + len(CORRUPTIONS) * len(severities))


def _summary(
    metrics: Mapping[str, float],
    task: Task,
    images: int,
    views: int,
    changes: Sequence[CorruptedView],
    values: _Numbers,
    replicates: _Numbers,
) -> Shift:
    """Compare the passes, of which the first is on the images as they are."""
    metric = task.main
    severities = tuple(dict.fromkeys(change.severity for change in changes))

    def loss(name: str | None, severity: int | None) -> ShiftLoss:
        chosen = [
            number
            for number, change in enumerate(changes, 1)
            if name in (None, change.corruption.name) and severity in (None, change.severity)
        ]
        lost = lost_by(metric, values[0], values[chosen].mean())
        each = lost_by(metric, replicates[0], replicates[chosen].mean(axis=0))
        return ShiftLoss(name, severity, float(values[chosen].mean()), float(lost), jackknife_error(each))

    return Shift(
        metrics,
        metric.name,
        images,
        views,
        severities,
        tuple(loss(change.corruption.name, change.severity) for change in changes),
        tuple(loss(None, severity) for severity in severities),
        loss(None, None),
    )


def lost_by(metric: Metric, clean: Any, corrupted: Any) -> Any:
    """How much worse the second of two values (numbers or arrays) is."""
    return clean - corrupted if metric.better == "max" else corrupted - clean


def leave_out(task: Task, outputs: NDArray[np.floating], labels: NDArray[Any]) -> _Numbers:
    """The main metric without one image or one group of images after another, ``[G]``; empty for a single image.

    Args:
        task: The task.
        outputs: ``[N, C]``.
        labels: Labels of the same images.
    """
    count, name = len(labels), task.main.name
    if count < 2:
        return np.zeros(0)
    right = ~task.mistakes(outputs, labels)[0]
    if task.main.share and math.isclose(right.mean(), task.measure(outputs, labels)[name], abs_tol=1e-9):
        return np.asarray((right.sum() - right) / (count - 1), np.float64)
    order = generator(Stream.JACKKNIFE, count).permutation(count)
    kept = (np.sort(np.delete(order, np.s_[group :: min(_GROUPS, count)])) for group in range(min(_GROUPS, count)))
    return np.array([task.measure(outputs[rows], labels[rows])[name] for rows in kept])


def jackknife_error(values: _Numbers) -> float | None:
    """The standard error of a statistic.

    Args:
        values: The statistic without one image or group of images after another, ``[G]``.

    Returns:
        ``sqrt((G - 1) / G * sum((value - mean)^2))``; None for fewer than two.
    """
    if len(values) < 2:
        return None
    return math.sqrt((len(values) - 1) * float(values.var()))
