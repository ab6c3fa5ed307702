"""All tasks, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from toolkit.tasks.base import Metric, Task, TaskName
from toolkit.tasks.classification import Classification
from toolkit.tasks.multilabel import Multilabel
from toolkit.tasks.regression import Regression

TASKS: Mapping[TaskName, Task] = MappingProxyType(
    {
        "classification": Classification(),
        "multilabel": Multilabel(),
        "regression": Regression(),
    }
)
METRICS: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for task in TASKS.values() for metric in task.metrics}
)
"""The metrics of all tasks, by name."""
