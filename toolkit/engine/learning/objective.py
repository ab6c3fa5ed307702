"""The objective of a job: its loss on a batch, and its metrics over a set."""

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
    """Loss and metrics of a task; as a layer, it computes the loss of a batch.

    Args:
        task: Name of the task.
        auxiliary_weights: Returns the loss weights of the network's current auxiliary outputs.
        image_weights: Weight of each training image, ``[N]``, >= 0; by default all equal.
    """

    def __init__(
        self, task: TaskName, auxiliary_weights: AuxiliaryWeights = tuple, image_weights: Floats | None = None
    ) -> None:
        super().__init__()
        self.task = TASKS[task]
        self._auxiliary_weights = auxiliary_weights
        self._image_weights = image_weights

    def forward(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """Loss of a batch, a scalar: the weighted sum over the samples, or their mean without weights.

        Sums of parts of a batch add up; the caller divides by the sum of all weights.

        Args:
            logits: The network's output ``[N, C]``.
            rest: Outputs of auxiliary classifiers, if any; the labels; and optionally ``weights``, float32 ``[N]``.
        """
        *auxiliary, labels, weights = rest if _has_weights(rest) else (*rest, None)
        assert labels is not None
        losses = self.sample_losses(logits, labels)
        for share, output in zip(self._auxiliary_weights(), auxiliary, strict=False):
            losses = losses + share * self.sample_losses(output, labels)
        return losses.sum() / losses.shape[0] if weights is None else (losses * weights).sum()

    @abstractmethod
    def sample_losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Loss of each sample for one output, ``[N]``, without weights.

        Args:
            outputs: ``[N, C]``.
            labels: A batch's labels, or mixed ones: float32 ``[N, C]``.
        """

    def metrics(self, outputs: NDArray[np.floating], labels: NDArray[Any]) -> dict[str, float]:
        """The task's metrics over all samples, in the order of ``task.metrics``."""
        return self.task.measure(outputs, labels)

    @property
    def is_weighted(self) -> bool:
        """Whether training samples may have different weights."""
        return self._image_weights is not None

    def weights(self, labels: NDArray[Any], indices: NDArray[np.integer]) -> Floats:
        """Weights of training samples: the weight of the image times that of its class.

        Args:
            labels: A batch's labels, or mixed ones: float32 ``[N, C]``.
            indices: Positions in the training set, ``[N]``.

        Returns:
            float32 ``[N]``, >= 0, not normalised; ones by default.
        """
        if self._image_weights is None:
            return np.ones(len(indices), np.float32)
        return self._image_weights[indices]

    def batch_weights(self, batch: Batch) -> Floats:
        """The weights of a batch, whose mixed images may have their own."""
        return self.weights(batch.labels, batch.indices) if batch.weights is None else batch.weights

    def running(self) -> list[paddle.metric.Metric]:
        """Paddle's metrics of training batches, in which all images count equally."""
        return []

    def label_spec(self, outputs: int) -> InputSpec:
        """Shape and type of a batch's labels."""
        return InputSpec([None, outputs], "float32", "label")


def _has_weights(inputs: tuple[Tensor, ...]) -> bool:
    """Whether the last input is weights: a 1-d float tensor, which labels never are."""
    return len(inputs) > 1 and inputs[-1].ndim == 1 and inputs[-1].dtype == paddle.float32


class _Accuracy(paddle.metric.Accuracy):
    """Accuracy of the main output; auxiliary outputs and weights are ignored.

    A prediction for a mixed image counts as correct by the share of its class, as in the code of Zhang et al., "mixup",
    arXiv 1710.09412.
    """

    def compute(self, logits: Tensor, *rest: Tensor) -> Tensor:
        """How correct each sample is, in [0, 1], ``[N, 1]``."""
        labels = rest[-2] if _has_weights(rest) else rest[-1]
        if labels.dtype not in (paddle.float32, paddle.float64):
            return super().compute(logits, labels)
        return paddle.take_along_axis(labels, logits.argmax(axis=1, keepdim=True), axis=1)


class ClassificationObjective(Objective):
    """One class per image: cross entropy or focal loss.

    Args:
        auxiliary_weights: See ``Objective``.
        label_smoothing: Share of the target spread over all classes, in training.
        focal_gamma: Gamma of the focal loss; 0 is cross entropy.
        class_weights: Weight of each class, ``[C]``; by default all equal.
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
        """See ``Objective``; with mixed labels, the mean over the classes weighted by their shares."""
        weights = super().weights(labels, indices)
        if self._class_weights is None:
            return weights
        return weights * (self._class_weights[labels] if labels.dtype.kind in "iu" else labels @ self._class_weights)

    def running(self) -> list[paddle.metric.Metric]:
        """Top-1 accuracy."""
        return [_Accuracy()]

    def label_spec(self, outputs: int) -> InputSpec:
        """Class indices."""
        return InputSpec([None], "int64", "label")


class MultilabelObjective(Objective):
    """Any number of labels per image: binary cross entropy or focal loss of each.

    Args:
        auxiliary_weights: See ``Objective``.
        focal_gamma: Gamma of the focal loss; 0 is cross entropy.
        positive_weights: Weight of a positive relative to a negative per label, ``[C]``; by default 1.
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
    """Numbers: squared error in units of each target's spread, so that targets count equally and rates carry over.

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
        """Squared error in units of ``scale``, averaged over the targets."""
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
    """Create the objective of a task.

    Args:
        task: Name of the task.
        label_smoothing: See ``ClassificationObjective``.
        focal_gamma: See ``ClassificationObjective`` and ``MultilabelObjective``.
        class_weights: See ``ClassificationObjective``; ``positive_weights`` of ``MultilabelObjective``.
        image_weights: See ``Objective``.
        scale: See ``RegressionObjective``; by default 1 for every target.
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
