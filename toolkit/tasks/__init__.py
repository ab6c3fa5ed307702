"""Tasks, as objects that the other parts of the toolkit ask."""

from toolkit.tasks.activations import sigmoid, softmax
from toolkit.tasks.base import Activation, Loss, Metric, Output, Task, TaskName
from toolkit.tasks.classification import classification_metrics
from toolkit.tasks.monitors import MONITORS, TRAINING_METRICS, better_of, monitor_name, monitors_of
from toolkit.tasks.multilabel import multilabel_metrics
from toolkit.tasks.registry import METRICS, TASKS
from toolkit.tasks.regression import regression_metrics

__all__ = [
    "METRICS",
    "MONITORS",
    "TASKS",
    "TRAINING_METRICS",
    "Activation",
    "Loss",
    "Metric",
    "Output",
    "Task",
    "TaskName",
    "better_of",
    "classification_metrics",
    "monitor_name",
    "monitors_of",
    "multilabel_metrics",
    "regression_metrics",
    "sigmoid",
    "softmax",
]
