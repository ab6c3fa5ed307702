"""The evaluation after each epoch: of the weights, and of their average where one is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from numpy.typing import NDArray

from toolkit.callbacks import WeightAveraging, swapped_weights
from toolkit.data import Batch
from toolkit.engine.evaluate import evaluate
from toolkit.engine.job import Job

__all__ = ["validate"]


def validate(
    job: Job, batches: Callable[[], Iterable[Batch]], averaging: WeightAveraging | None
) -> tuple[dict[str, float], Mapping[str, NDArray[Any]] | None]:
    """The metrics of the validation images.

    Args:
        job: Network, objective and precision.
        batches: Gives the validation images; those of this process, where there are several.
        averaging: The callback that keeps an average of the weights, if any.

    Returns:
        The metrics of the weights that the run would keep, with those of the weights as ``raw_...`` and of their
        average as ``avg_...`` where there are both; and the arrays of the average when that is what the run would keep.
    """

    def measure() -> dict[str, float]:
        return evaluate(job.network, batches(), job.objective, job.config.train, shared=True)

    raw = measure()
    averages = averaging.averaged_weights() if averaging is not None else None
    if averaging is None or averages is None:
        return raw, None
    with swapped_weights(job.network, averages):
        averaged = measure()
    name, mode = _deciding(job)
    chosen = averaging.keeps_average(raw[name], averaged[name], mode)
    both = {f"{kind}_{key}": value for kind, found in (("raw", raw), ("avg", averaged)) for key, value in found.items()}
    return {**(averaged if chosen else raw), **both}, averages if chosen else None


def _deciding(job: Job) -> tuple[str, Literal["min", "max"]]:
    """The validation metric that decides which epoch is best, and which way is better."""
    deciding, task = job.config.callbacks.deciding, job.objective.task
    part, _, name = (deciding.monitor or f"val/{task.main.name}").partition("/")
    metric = task.metric(name) if part == "val" and name in {each.name for each in task.metrics} else task.main
    return metric.name, deciding.mode if deciding.mode != "auto" else metric.better
