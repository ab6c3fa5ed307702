"""The evaluation after each epoch: of the weights, and of their average if there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from toolkit.callbacks import WeightAveraging, swapped_weights
from toolkit.data import Batch
from toolkit.engine.evaluate import predict_outputs
from toolkit.engine.job import Job
from toolkit.engine.learning.objective import Objective
from toolkit.engine.learning.uncertainty import standard_error


@dataclass(frozen=True)
class Validation:
    """The result of an evaluation of the validation images.

    Attributes:
        metrics: Metrics of the weights that the run would keep, plus those of the raw weights as ``raw_...`` and of
            their average as ``avg_...`` if there are both.
        averages: The arrays of the average if the run would keep it.
        outputs: Outputs ``[N, C]`` of the weights that the run would keep.
        labels: Labels of the validation images.
        objective: The task's metrics.
    """

    metrics: dict[str, float]
    averages: Mapping[str, NDArray[Any]] | None
    outputs: NDArray[np.float32]
    labels: NDArray[Any]
    objective: Objective

    def error(self, monitor: str) -> float | None:
        """Standard error of a metric, ``val/...``; None for metrics not measured on these images."""
        part, _, name = monitor.partition("/")
        if part != "val":
            return None
        return standard_error(self.objective, self.outputs, self.labels, name.removeprefix("avg_"))


def validate(job: Job, batches: Callable[[], Iterable[Batch]], averaging: WeightAveraging | None) -> Validation:
    """Compute the metrics of the validation images.

    Args:
        job: Network, objective and precision.
        batches: Returns the validation batches; those of this process, if there are several.
        averaging: The callback that keeps an average of the weights, if any.

    """

    def measure() -> tuple[dict[str, float], NDArray[np.float32], NDArray[Any]]:
        outputs, labels = predict_outputs(job.network, batches(), job.config.train, shared=True)
        return job.objective.metrics(outputs, labels), outputs, labels

    raw = measure()
    averages = averaging.averaged_weights() if averaging is not None else None
    if averaging is None or averages is None:
        return Validation(raw[0], None, *raw[1:], job.objective)
    with swapped_weights(job.network, averages):
        averaged = measure()
    name, mode = _deciding(job)
    if raw[0][name] == averaged[0][name]:
        name, mode = "loss", "min"
    chosen = averaging.keeps_average(raw[0][name], averaged[0][name], mode)
    kept = averaged if chosen else raw
    both = {
        f"{kind}_{key}": value for kind, part in (("raw", raw), ("avg", averaged)) for key, value in part[0].items()
    }
    return Validation({**kept[0], **both}, averages if chosen else None, *kept[1:], job.objective)


def _deciding(job: Job) -> tuple[str, Literal["min", "max"]]:
    """The validation metric that decides which epoch is best, and its direction."""
    deciding, task = job.config.callbacks.deciding, job.objective.task
    part, _, name = (deciding.monitor or f"val/{task.main.name}").partition("/")
    metric = task.metric(name) if part == "val" and name in {metric.name for metric in task.metrics} else task.main
    return metric.name, deciding.mode if deciding.mode != "auto" else metric.better
