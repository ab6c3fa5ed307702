"""What a job learns: its loss on a batch, and its metrics over a set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.static import InputSpec

from toolkit.data import Batch
from toolkit.engine.learning.losses import binary_focal, focal, squared_error
from toolkit.tasks import TASKS, Loss, TaskName

AuxiliaryWeights = Callable[[], tuple[float, ...]]
Floats = NDArray[np.float32]


class Objective(nn.Layer):
    """Loss and metrics of a task; as a layer it is the loss that ``paddle.Model`` calls.

    Args:
        task: Name of the task.
        auxiliary_weights: Gives the weights of the losses of the auxiliary outputs that the network has just now.
        image_weights: How much each training image counts, ``[N]``, >= 0; by default all alike.
    """

    def __init__(
        self, task: TaskName, auxiliary_weights: AuxiliaryWeights = tuple, image_weights: Floats | None = None
    ) -> None:
        super().__init__()
        self.task = TASKS[task]
        self._auxiliary_weights = auxiliary_weights
        self._image_weights = image_weights

    def forward(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """Loss of one batch, a scalar: the sum over the samples, each times its weight; without weights the mean.

        A sum is what parts of a batch add up to; whoever calls divides it by the sum of all weights.

        Args:
            logits: The network's output ``[N, C]``.
            rest: Outputs of auxiliary classifiers, if any; the labels; and perhaps ``weights``, float32 ``[N]``.
        """
        *auxiliary, labels, weights = rest if _has_weights(rest) else (*rest, None)
        assert labels is not None
        losses = self.sample_losses(logits, labels)
        for share, output in zip(self._auxiliary_weights(), auxiliary, strict=False):
            losses = losses + share * self.sample_losses(output, labels)
        return losses.sum() / losses.shape[0] if weights is None else (losses * weights).sum()

    @abstractmethod
    def sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample by one output, ``[N]``, without weights.

        Args:
            outputs: ``[N, C]``.
            labels: A batch's labels, or mixed ones: float32 ``[N, C]``.
        """

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """The task's metrics over all samples, in the order of ``task.metrics``."""
        return self.task.measure(outputs, labels)

    @property
    def is_weighted(self) -> bool:
        """Whether some training samples may count more than others."""
        return self._image_weights is not None

    def weights(self, labels: NDArray[Any], indices: NDArray[np.integer]) -> Floats:
        """How much training samples count: the weight of the image times that of its class.

        Args:
            labels: A batch's labels, or mixed ones: float32 ``[N, C]``.
            indices: Positions in the training set, ``[N]``.

        Returns:
            float32 ``[N]``, >= 0, of no particular sum; ones by default.
        """
        if self._image_weights is None:
            return np.ones(len(indices), np.float32)
        return self._image_weights[indices]

    def batch_weights(self, batch: Batch) -> Floats:
        """The same of a batch, whose mixed images may bring weights of their own."""
        return self.weights(batch.labels, batch.indices) if batch.weights is None else batch.weights

    def running(self) -> list[paddle.metric.Metric]:
        """Paddle's metrics of training batches; images count alike in them."""
        return []

    def label_spec(self, outputs: int) -> InputSpec:
        """Shape and type of a batch's labels."""
        return InputSpec([None, outputs], "float32", "label")


def _has_weights(inputs: tuple[Tensor, ...]) -> bool:
    """Whether the last input is weights: a row of floats, which labels never are."""
    return len(inputs) > 1 and inputs[-1].ndim == 1 and inputs[-1].dtype == paddle.float32


class _Accuracy(paddle.metric.Accuracy):
    """Accuracy of the main output; auxiliary outputs and weights are passed over.

    A prediction for a mixed image is right by the share of its class (Zhang et al., "mixup", arXiv 1710.09412, count so
    in their code).
    """

    def compute(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """How right each sample is, in [0, 1], ``[N, 1]``."""
        labels = rest[-2] if _has_weights(rest) else rest[-1]
        if labels.dtype not in (paddle.float32, paddle.float64):
            return super().compute(logits, labels)
        return paddle.take_along_axis(labels, logits.argmax(axis=1, keepdim=True), axis=1)


class ClassificationObjective(Objective):
    """One class an image: cross entropy, or focal loss.

    Args:
        auxiliary_weights: See ``Objective``.
        label_smoothing: Share of the target spread over all classes, in training.
        focal_gamma: Of the focal loss; 0 is cross entropy.
        class_weights: How much images of each class count, ``[C]``; by default all alike.
        image_weights: See ``Objective``.
        task: One with this loss.
    """

    def __init__(
        self,
        auxiliary_weights: AuxiliaryWeights = tuple,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Floats | None = None,
        image_weights: Floats | None = None,
        task: TaskName = "classification",
    ) -> None:
        super().__init__(task, auxiliary_weights, image_weights)
        self._smoothing = label_smoothing
        self._gamma = focal_gamma
        self._class_weights = class_weights

    def sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy or focal loss, in nats."""
        return focal(outputs, labels, self._gamma, self._smoothing)

    @property
    def is_weighted(self) -> bool:
        """See ``Objective``."""
        return super().is_weighted or self._class_weights is not None

    def weights(self, labels: NDArray[Any], indices: NDArray[np.integer]) -> Floats:
        """See ``Objective``; with mixed labels the mean over the classes by their shares."""
        weights = super().weights(labels, indices)
        if self._class_weights is None:
            return weights
        return weights * (self._class_weights[labels] if labels.dtype.kind in "iu" else labels @ self._class_weights)

    def running(self) -> list[paddle.metric.Metric]:
        """Top-1."""
        return [_Accuracy()]

    def label_spec(self, outputs: int) -> InputSpec:
        """Class numbers."""
        return InputSpec([None], "int64", "label")


class MultilabelObjective(Objective):
    """Any number of labels an image: binary cross entropy of each, or focal loss.

    Args:
        auxiliary_weights: See ``Objective``.
        focal_gamma: Of the focal loss; 0 is cross entropy.
        positive_weights: How much a positive of each label counts against a negative, ``[C]``; by default 1.
        image_weights: See ``Objective``.
        task: One with this loss.
    """

    def __init__(
        self,
        auxiliary_weights: AuxiliaryWeights = tuple,
        focal_gamma: float = 0.0,
        positive_weights: Floats | None = None,
        image_weights: Floats | None = None,
        task: TaskName = "multilabel",
    ) -> None:
        super().__init__(task, auxiliary_weights, image_weights)
        self._gamma = focal_gamma
        self._positive_weights = positive_weights

    def sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Mean over the labels of binary cross entropy or focal loss, in nats."""
        positive = None if self._positive_weights is None else paddle.to_tensor(self._positive_weights)
        return binary_focal(outputs, labels, self._gamma, positive)


class RegressionObjective(Objective):
    """Numbers: squared error in units of each target's spread, so that targets weigh alike and rates carry over.

    Args:
        scale: Standard deviation of each target over the training images, ``[T]``, > 0.
        auxiliary_weights: See ``Objective``.
        image_weights: See ``Objective``.
        task: One with this loss.
    """

    def __init__(
        self,
        scale: NDArray[np.floating],
        auxiliary_weights: AuxiliaryWeights = tuple,
        image_weights: Floats | None = None,
        task: TaskName = "regression",
    ) -> None:
        super().__init__(task, auxiliary_weights, image_weights)
        self._scale = np.asarray(scale, np.float32)

    def sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Squared error in units of ``scale``, the mean over the targets."""
        return squared_error(outputs, labels, paddle.to_tensor(self._scale))

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """See ``Objective``."""
        return self.task.measure(outputs, labels, self._scale)


def make_objective(
    task: TaskName,
    *,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    class_weights: Floats | None = None,
    image_weights: Floats | None = None,
    scale: NDArray[np.floating] | None = None,
    auxiliary_weights: AuxiliaryWeights = tuple,
) -> Objective:
    """The objective of a task.

    Args:
        task: Name of the task.
        label_smoothing: Classification: see there.
        focal_gamma: Classification and multilabel: see there.
        class_weights: Classification: see there; multilabel: ``positive_weights``.
        image_weights: See ``Objective``.
        scale: Regression: see there; by default 1 for every target.
        auxiliary_weights: See ``Objective``.
    """
    auxiliary, weights = auxiliary_weights, image_weights
    makers: Mapping[Loss, Callable[[], Objective]] = {
        "cross_entropy": lambda: ClassificationObjective(
            auxiliary, label_smoothing, focal_gamma, class_weights, weights, task
        ),
        "binary_cross_entropy": lambda: MultilabelObjective(auxiliary, focal_gamma, class_weights, weights, task),
        "squared_error": lambda: RegressionObjective(np.ones(1) if scale is None else scale, auxiliary, weights, task),
    }
    return makers[TASKS[task].loss]()
