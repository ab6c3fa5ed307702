"""The task interface: everything in which tasks differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

TaskName = Literal["classification", "multilabel", "regression"]
Activation = Literal["softmax", "sigmoid", "none"]
Loss = Literal["cross_entropy", "binary_cross_entropy", "squared_error"]
Output = Literal["class", "label", "target"]
Labels: TypeAlias = NDArray[Any]
Floats: TypeAlias = "NDArray[np.floating[Any]]"
Positions: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Metric:
    """A measure of a network's quality.

    Attributes:
        name: Key in results and logs.
        title: Name in tables.
        better: ``max`` if higher is better, else ``min``.
        share: Whether it is a fraction of the images, shown in percent; its error follows from their number.
        in_units: Whether it is in the targets' units, or their square, so that no fixed number of decimals suits it.
        floor: Lower end of axes; None: that of the values.
        least_outputs: Number of outputs from which on it is informative.
    """

    name: str
    title: str
    better: Literal["min", "max"]
    share: bool = False
    in_units: bool = False
    floor: float | None = None
    least_outputs: int = 0


LOSS = Metric("loss", "loss", "min")
MACRO_F1 = Metric("macro_f1", "macro-F1", "max")


class Task(ABC):
    """A kind of task: facts for the other parts, and the meaning of its outputs and labels.

    Nothing here assumes one label per image: ``labels`` are whatever the data holds for the images, with the images
    along the first axis.

    Attributes:
        name: Value of ``task`` in a config.
        metrics: Metrics of an evaluation, including ``loss``; the first is the main one.
        training: Metrics, besides the loss, that are also measured on training batches.
        activation: Function from the network's outputs to probabilities or values.
        loss: Loss that training and the exact solver minimise.
        outputs: Meaning of one output: ``class``, ``label`` or ``target``. Other parts have a table with a row for each
            (how to show a prediction, how to split a data set).
        plural: Plural of ``outputs``.
        one_class_per_image: Labels are class indices, int ``[N]``.
        labels_are_rows: Labels are rows of numbers, float ``[N, C]``, one column per output.
        names_in_cells: One column of a table may name all labels of an image.
        row_example: Labels of an image in a line of a list; empty without ``labels_are_rows``.
        predicts_numbers: Outputs are numbers with a unit: standardised in training, described by mean and range, and
            close or not. Otherwise outputs are counted, and right or wrong.
        averages_outputs: The loss of an image is the mean over its outputs.
        takes_threshold: An output is predicted if its probability exceeds a threshold.
        head_optimizer: Default optimizer for training the head alone.
        calibrated: Whether the advisor's calibration covers the task.
        unsuited: Config option -> why it does not suit the task, as the rest of a sentence that starts with the option.
    """

    name: ClassVar[TaskName]
    metrics: ClassVar[tuple[Metric, ...]]
    training: ClassVar[tuple[str, ...]] = ()
    activation: ClassVar[Activation]
    loss: ClassVar[Loss]
    outputs: ClassVar[Output]
    plural: ClassVar[str]
    one_class_per_image: ClassVar[bool] = False
    labels_are_rows: ClassVar[bool] = False
    names_in_cells: ClassVar[bool] = False
    row_example: ClassVar[str] = ""
    predicts_numbers: ClassVar[bool] = False
    averages_outputs: ClassVar[bool] = False
    takes_threshold: ClassVar[bool] = False
    head_optimizer: ClassVar[Literal["momentum", "adamw"]] = "momentum"
    calibrated: ClassVar[bool] = False
    unsuited: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    def main(self) -> Metric:
        """The metric by which epochs and presets are compared."""
        return self.metrics[0]

    def metric(self, name: str) -> Metric:
        """Return a metric by name.

        Raises:
            KeyError: The task has no such metric.
        """
        return {metric.name: metric for metric in self.metrics}[name]

    def shown(self, outputs: int) -> tuple[Metric, ...]:
        """Return the metrics that are informative for this number of outputs."""
        return tuple(metric for metric in self.metrics if outputs >= metric.least_outputs)

    # Metrics and decisions

    @abstractmethod
    def measure(self, outputs: Floats, labels: Labels, scale: Floats | None = None) -> dict[str, float]:
        """Compute the metrics over a whole set, in the order of ``metrics``.

        Args:
            outputs: The network's outputs before the activation, ``[N, C]``, N >= 1.
            labels: Labels of the same images.
            scale: Result of ``scale_of`` for the training images; None: 1, or not applicable.
        """

    @abstractmethod
    def decide(self, outputs: Floats) -> Labels:
        """Return the network's decisions in the format of labels."""

    def mistakes(self, outputs: Floats, labels: Labels) -> tuple[NDArray[np.bool_], Floats]:
        """Return which images are wrong, and the distance of probabilities from labels, in [0, 1]; both ``[N]``.

        For numbers, no image is wrong.
        """
        return np.zeros(len(labels), np.bool_), np.zeros(len(labels))

    @abstractmethod
    def words(self, labels: Labels, names: Sequence[str]) -> list[str]:
        """Return labels or decisions as text, one per image."""

    # Data

    @abstractmethod
    def counts(self, labels: Labels, outputs: int) -> Positions:
        """Return the number of images for each class, label or target, ``[C]``."""

    def unlabelled(self, labels: Labels) -> int:
        """Return the number of images without any label."""
        return 0

    def default_names(self, outputs: int) -> tuple[str, ...]:
        """Return names for outputs if the data has none: their indices."""
        return tuple(map(str, range(outputs)))

    def scale_of(self, labels: Labels) -> NDArray[np.float64] | None:
        """Return the unit of each output in the loss, given the training labels; None if outputs have no unit."""
        return None

    def groups(self, labels: Labels) -> list[Positions]:
        """Return groups of positions, for a draw that is stratified by group."""
        return [np.arange(len(labels))]

    def held_out_order(self, labels: Labels, order: Positions) -> Positions:
        """Reorder images so that every k-th can be held out; drop those that must not be.

        Args:
            labels: Labels of all images.
            order: Positions of all images, in random order.

        Returns:
            Positions; empty if nothing can be held out.
        """
        return order

    @abstractmethod
    def strata(self, labels: Labels) -> Positions:
        """Return the stratum of each image, ``[N]``, N >= 1, for stratified samples."""

    # Linear models and neighbours

    @abstractmethod
    def columns(self, labels: Labels) -> NDArray[np.float64]:
        """Return labels as the columns that a linear model fits, ``[N, C]``."""

    @abstractmethod
    def vote(self, labels: Labels, neighbours: Positions, votes: NDArray[np.float64], outputs: int) -> Floats:
        """Return the outputs ``[M, C]`` for which the nearest training images vote.

        Args:
            labels: Labels of the training images.
            neighbours: Positions of the k nearest training images of each of M images, ``[M, k]``.
            votes: Their weights, ``[M, k]``; each row sums to 1.
            outputs: C, the number of outputs.
        """

    @abstractmethod
    def chance(self, labels: Labels) -> float:
        """Return the main metric of a guess that ignores the images."""

    def comparable(self, labels: Labels) -> Positions:
        """Return the positions of images that can be compared with others."""
        return np.arange(len(labels))

    def renumbered(self, labels: Labels) -> Labels:
        """Return the labels of a subset, without gaps in class indices."""
        return labels


def mean_of_neighbours(values: Labels, neighbours: Positions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weighted mean of the neighbours' rows ``[M, C]``, adding one neighbour at a time."""
    total = np.zeros((len(neighbours), values.shape[1]))
    for rank in range(neighbours.shape[1]):
        total += weights[:, rank, None] * values[neighbours[:, rank]]
    return total
