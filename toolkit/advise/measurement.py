"""Measurements as plain numbers that can be saved and loaded."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from toolkit.core.stages import StageInfo
from toolkit.tasks import TaskName

NO_CLASSIFIER = "the weights do not include the original classifier"
"""Reason for a missing confidence with weights of another task."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageFacts(_Facts):
    """One stage of the network.

    Attributes:
        name: Name.
        shape: Shape of the output for one image.
        parameters: Number of weights.
        width: Number of features after pooling.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    width: int

    @property
    def info(self) -> StageInfo:
        """The stage in the form that plans use."""
        return StageInfo(self.name, self.shape, self.parameters)


class Size(_Facts):
    """Size of a data set.

    Attributes:
        images: Training images.
        classes: Number of classes, labels or targets; 0 without labels.
        least: Images in the smallest class (label); all images for regression.
        median: Median number of images over the classes; all images if there are none.
        most: Images in the largest class.
    """

    images: int
    classes: int
    least: int
    median: float
    most: int

    @property
    def imbalance(self) -> float:
        """Size of the largest class divided by the smallest, >= 1."""
        return self.most / max(1, self.least)


class Pair(_Facts):
    """A score of the pretrained network's features and of a random network's, on the same images.

    Attributes:
        pretrained: Score with pretrained weights.
        random: Score with random weights.
    """

    pretrained: float
    random: float


class Codes(_Facts):
    """Evidence (a) and (b): what the features of the last stage reveal about the labels.

    Attributes:
        images: Number of images used.
        chance: Score of chance.
        knn: Nearest neighbours.
        probe: Cross-validated linear probe.
        logme: Nats per image.
    """

    images: int
    chance: float
    knn: Pair
    probe: Pair
    logme: Pair


class Depth(_Facts):
    """Evidence (d): a linear probe at each stage.

    Attributes:
        images: Number of images used.
        chance: Score of chance.
        scores: Score of each stage.
        errors: Standard error of each score.
        each: Each image's part in the last stage's score (``Probe.each``), to compare networks on the same images; None
            for metrics without such parts.
    """

    images: int
    chance: float
    scores: tuple[float, ...]
    errors: tuple[float, ...]
    each: tuple[float, ...] | None = None


class Distances(_Facts):
    """Evidence (c): the statistics of BatchNorm layers.

    Attributes:
        images: Number of images used.
        layers: Distance of each layer from the source's statistics, by depth, in nats.
    """

    images: int
    layers: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the layers."""
        return sum(self.layers) / len(self.layers)


class Own(_Facts):
    """Evidence (e): the network's predictions of the source's classes.

    Attributes:
        images: Number of images used.
        classes: Number of classes that the network knows.
        confidence: Mean largest probability.
        entropy: Mean entropy as a fraction of uniform guessing.
        zoom: Side of the images divided by the side of the pretraining images.
    """

    images: int
    classes: int
    confidence: float
    entropy: float
    zoom: float = 1.0


class Measurement(_Facts):
    """Everything that advice is based on.

    Attributes:
        network: The network.
        task: What the labels are.
        size: Size of the data set.
        sample: Number of images measured.
        stages: Stages of the network, in forward order.
        codes: None if it could not be measured; ``missing`` says why.
        depth: The same.
        batchnorm: The same.
        own: The same.
        missing: Reason for each missing piece of evidence, by name.
        notes: Other remarks.
        seconds: Time taken.
    """

    network: str
    task: TaskName
    size: Size
    sample: int
    stages: tuple[StageFacts, ...]
    codes: Codes | None
    depth: Depth | None
    batchnorm: Distances | None
    own: Own | None
    missing: dict[str, str]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
