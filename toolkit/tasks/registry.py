"""The tasks by name, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from toolkit.tasks.base import Task, TaskName
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
