"""What a job learns: its loss on a batch, and its metrics over a set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.static import InputSpec

from toolkit.engine.metrics import classification_metrics, multilabel_metrics, regression_metrics
from toolkit.task import TASKS, TaskName

__all__ = ["ClassificationObjective", "MultilabelObjective", "Objective", "RegressionObjective", "make_objective"]

Weights = Callable[[], tuple[float, ...]]


class Objective(nn.Layer):
    """Loss and metrics of a task; as a layer it is the loss that ``paddle.Model`` calls.

    Args:
        task: Name of the task.
        auxiliary_weights: Gives the weights of the losses of the auxiliary outputs that the network has just now.
    """

    def __init__(self, task: TaskName, auxiliary_weights: Weights = tuple) -> None:
        super().__init__()
        self.task = TASKS[task]
        self._auxiliary_weights = auxiliary_weights

    def forward(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """Loss of one batch, a scalar.

        Args:
            logits: The network's output ``[N, C]``.
            rest: Outputs of auxiliary classifiers, if any, and the labels.
        """
        *auxiliary, labels = rest
        loss = self.batch_loss(logits, labels)
        for weight, output in zip(self._auxiliary_weights(), auxiliary, strict=False):
            loss = loss + weight * self.batch_loss(output, labels)
        return loss

    def batch_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of one output, a scalar."""
        raise NotImplementedError

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """The task's metrics over all samples, in the order of ``task.metrics``."""
        raise NotImplementedError

    def running(self) -> list[paddle.metric.Metric]:
        """Paddle's metrics of training batches."""
        return []

    def label_spec(self, outputs: int) -> InputSpec:
        """Shape and type of a batch's labels."""
        return InputSpec([None, outputs], "float32", "label")


class _Accuracy(paddle.metric.Accuracy):
    """Accuracy of the main output."""

    def compute(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """Whether each sample is right; auxiliary outputs are passed over."""
        return super().compute(logits, rest[-1])


class ClassificationObjective(Objective):
    """One class an image: cross entropy.

    Args:
        auxiliary_weights: See ``Objective``.
        label_smoothing: Share of the target spread over all classes, in training.
    """

    def __init__(self, auxiliary_weights: Weights = tuple, label_smoothing: float = 0.0) -> None:
        super().__init__("classification", auxiliary_weights)
        self._cross_entropy = nn.CrossEntropyLoss(label_smoothing=label_smoothing)

    def batch_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy in nats."""
        return self._cross_entropy(outputs, labels)

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """See ``classification_metrics``."""
        return classification_metrics(outputs, labels)

    def running(self) -> list[paddle.metric.Metric]:
        """Top-1."""
        return [_Accuracy()]

    def label_spec(self, outputs: int) -> InputSpec:
        """Class numbers."""
        return InputSpec([None], "int64", "label")


class MultilabelObjective(Objective):
    """Any number of labels an image: binary cross entropy of each.

    Args:
        auxiliary_weights: See ``Objective``.
    """

    def __init__(self, auxiliary_weights: Weights = tuple) -> None:
        super().__init__("multilabel", auxiliary_weights)

    def batch_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean binary cross entropy over samples and labels, in nats."""
        return F.binary_cross_entropy_with_logits(outputs, labels)

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """See ``multilabel_metrics``."""
        return multilabel_metrics(outputs, labels)


class RegressionObjective(Objective):
    """Numbers: squared error in units of each target's spread, so that targets weigh alike and rates carry over.

    Args:
        scale: Standard deviation of each target over the training images, ``[T]``, > 0.
        auxiliary_weights: See ``Objective``.
    """

    def __init__(self, scale: NDArray[np.floating], auxiliary_weights: Weights = tuple) -> None:
        super().__init__("regression", auxiliary_weights)
        self._scale = np.asarray(scale, np.float32)

    def batch_loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error in units of ``scale``."""
        scale = paddle.to_tensor(self._scale)
        return F.mse_loss(outputs / scale, labels / scale)

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """See ``regression_metrics``."""
        return regression_metrics(outputs, labels, self._scale)


def make_objective(
    task: TaskName,
    *,
    label_smoothing: float = 0.0,
    scale: NDArray[np.floating] | None = None,
    auxiliary_weights: Weights = tuple,
) -> Objective:
    """The objective of a task.

    Args:
        task: Name of the task.
        label_smoothing: Classification: see there.
        scale: Regression: see there; by default 1 for every target.
        auxiliary_weights: See ``Objective``.
    """
    if task == "classification":
        return ClassificationObjective(auxiliary_weights, label_smoothing)
    if task == "multilabel":
        return MultilabelObjective(auxiliary_weights)
    return RegressionObjective(np.ones(1) if scale is None else scale, auxiliary_weights)
