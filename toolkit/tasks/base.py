"""What a task says of itself: all that other parts of the toolkit ask before they treat it in its own way."""

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

_TOP5 = 5


@dataclass(frozen=True)
class Metric:
    """One number that tells how good a network is.

    Attributes:
        name: Key in results and logs.
        title: What tables call it.
        better: ``max`` when more is better, else ``min``.
        share: A share of the images, said and drawn in percent; its error follows from their number.
        in_units: In the targets' own units, or their square; no number of decimals suits all.
        floor: Where axes end below; None: where the values do.
    """

    name: str
    title: str
    better: Literal["min", "max"]
    share: bool = False
    in_units: bool = False
    floor: float | None = None


LOSS = Metric("loss", "loss", "min")
MACRO_F1 = Metric("macro_f1", "macro-F1", "max")


class Task(ABC):
    """A kind of task: facts that other parts read, and what can be said of its outputs and labels.

    Nothing here assumes one label per image: ``labels`` are whatever the task's data holds for its images, with the
    images along the first axis.

    Attributes:
        name: What ``task`` says in a config.
        metrics: What an evaluation measures, ``loss`` among them; the first one is the main one.
        training: Metrics that are also measured on the training batches, besides the loss.
        activation: What turns the network's outputs into what a person wants.
        loss: What training and the exact solver minimise.
        outputs: What one output stands for: ``class``, ``label`` or ``target``. Tables of other parts (how a prediction
            is shown, how a split is drawn) have a row for each.
        plural: Several of them.
        one_class_per_image: Labels are class numbers, int ``[N]``.
        labels_are_rows: Labels are rows of numbers, float ``[N, C]``, a column for each output.
        names_in_cells: One column of a table may name all labels of an image.
        row_example: Labels of an image as a line of a list has them; empty without ``labels_are_rows``.
        predicts_numbers: Outputs are numbers in units of their own. They are standardised in training, described by
            mean and range, and near or far; all others are counted, and right or wrong.
        averages_outputs: The loss of an image is the mean over its outputs.
        takes_threshold: A probability above a threshold says that an output is there.
        head_optimizer: Default optimizer of a head that is trained alone.
        calibrated: The advisor's calibration compared presets on such tasks.
        unsuited: Option of the config -> why it does not suit the task, as the rest of a sentence that begins with it.
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
        """The metric that decides which epoch is best and how presets compare."""
        return self.metrics[0]

    def metric(self, name: str) -> Metric:
        """The metric of a name.

        Raises:
            KeyError: The task has no such metric.
        """
        return {metric.name: metric for metric in self.metrics}[name]

    def shown(self, outputs: int) -> tuple[Metric, ...]:
        """The metrics that say something of a network with so many outputs: top-5 does not, up to five classes."""
        return tuple(metric for metric in self.metrics if metric.name != "top5" or outputs > _TOP5)

    # Metrics and decisions

    @abstractmethod
    def measure(self, outputs: Floats, labels: Labels, scale: Floats | None = None) -> dict[str, float]:
        """The metrics over a whole set, in the order of ``metrics``.

        Args:
            outputs: The network's outputs before the activation, ``[N, C]``, N >= 1.
            labels: Of the same images.
            scale: From ``scale_of`` the training images; None: 1, or no such thing.
        """

    @abstractmethod
    def decide(self, outputs: Floats) -> Labels:
        """The network's decisions, in the form of labels."""

    def mistakes(self, outputs: Floats, labels: Labels) -> tuple[NDArray[np.bool_], Floats]:
        """Which images are wrong, and how far the probabilities are from the labels, in [0, 1]; two ``[N]``.

        Where outputs can only be near or far, none is.
        """
        return np.zeros(len(labels), np.bool_), np.zeros(len(labels))

    @abstractmethod
    def words(self, labels: Labels, names: Sequence[str]) -> list[str]:
        """Labels, or decisions, in words: one text per image."""

    # Data

    @abstractmethod
    def counts(self, labels: Labels, outputs: int) -> Positions:
        """Number of images with each class or label, or with a number for each target, ``[C]``."""

    def unlabelled(self, labels: Labels) -> int:
        """Number of images to which none of the names applies."""
        return 0

    def default_names(self, outputs: int) -> tuple[str, ...]:
        """Names of outputs where the data has none: their numbers."""
        return tuple(map(str, range(outputs)))

    def scale_of(self, labels: Labels) -> NDArray[np.float64] | None:
        """Unit of each output in the loss, from the labels of the training images; None where it has none."""
        return None

    def groups(self, labels: Labels) -> list[Positions]:
        """Positions of images that are alike: a draw takes its share of each group."""
        return [np.arange(len(labels))]

    def held_out_order(self, labels: Labels, order: Positions) -> Positions:
        """Reorder images so that every k-th one can be held out; leave out those that a fit needs.

        Args:
            labels: Of all images.
            order: Positions of all images, at random.

        Returns:
            Positions; none where nothing can be held out.
        """
        return order

    @abstractmethod
    def strata(self, labels: Labels) -> Positions:
        """A number for each image, ``[N]``, N >= 1; a sample has its share of each number."""

    # Linear models and neighbours

    @abstractmethod
    def columns(self, labels: Labels) -> NDArray[np.float64]:
        """Labels as the columns that a linear model fits, ``[N, C]``."""

    @abstractmethod
    def vote(self, labels: Labels, neighbours: Positions, votes: NDArray[np.float64], outputs: int) -> Floats:
        """Outputs ``[M, C]`` that the nearest training images speak for.

        Args:
            labels: Of the training images.
            neighbours: Positions of the k nearest ones of each of M images, ``[M, k]``.
            votes: Their weights by nearness, ``[M, k]``; each row sums to 1.
            outputs: C.
        """

    @abstractmethod
    def chance(self, labels: Labels) -> float:
        """The main metric without looking at the images."""

    def comparable(self, labels: Labels) -> Positions:
        """Positions of the images that have others to be compared with."""
        return np.arange(len(labels))

    def renumbered(self, labels: Labels) -> Labels:
        """Labels of some images, without numbers that none of them has."""
        return labels


def mean_of_neighbours(values: Labels, neighbours: Positions, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weighted mean of the neighbours' rows ``[M, C]``, one neighbour at a time."""
    total = np.zeros((len(neighbours), values.shape[1]))
    for place in range(neighbours.shape[1]):
        total += weights[:, place, None] * values[neighbours[:, place]]
    return total
