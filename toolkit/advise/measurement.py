"""What was measured, as plain numbers that can be kept and read again."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from toolkit.core.stages import StageInfo
from toolkit.tasks import TaskName

NO_CLASSIFIER = "the weights bring no classifier of their own"
"""Why confidence is missing with weights of another task."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StageFacts(_Facts):
    """One stage of the network.

    Attributes:
        name: Its name.
        shape: Output of one image.
        parameters: Number of its weights.
        width: Number of its features after pooling.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    width: int

    @property
    def info(self) -> StageInfo:
        """As plans take it."""
        return StageInfo(self.name, self.shape, self.parameters)


class Size(_Facts):
    """How much there is to learn from.

    Attributes:
        images: Training images.
        classes: Number of classes, labels or targets; 0 without labels.
        least: Images of the smallest class (label); all images for regression.
        median: Median over the classes.
        most: Images of the largest class.
    """

    images: int
    classes: int
    least: int
    median: float
    most: int

    @property
    def imbalance(self) -> float:
        """Largest class over smallest, >= 1."""
        return self.most / max(1, self.least)


class Pair(_Facts):
    """One score of the pretrained network's codes and of a random network's, on the same images.

    Attributes:
        pretrained: With pretrained weights.
        random: With random ones.
    """

    pretrained: float
    random: float


class Codes(_Facts):
    """Evidence (a) and (b): what the features of the last stage tell of the labels.

    Attributes:
        images: How many were used.
        chance: Score without looking at them.
        knn: Nearest neighbours.
        probe: Cross-validated linear probe.
        logme: Nats an image.
    """

    images: int
    chance: float
    knn: Pair
    probe: Pair
    logme: Pair


class Depth(_Facts):
    """Evidence (d): a linear probe at each stage.

    Attributes:
        images: How many were used.
        chance: Score without looking at them.
        scores: One a stage.
        errors: Their standard errors.
    """

    images: int
    chance: float
    scores: tuple[float, ...]
    errors: tuple[float, ...]


class Distances(_Facts):
    """Evidence (c): the statistics of BatchNorm layers.

    Attributes:
        images: How many were used.
        layers: Distance of each layer from the source's statistics, by depth; nats.
    """

    images: int
    layers: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the layers."""
        return sum(self.layers) / len(self.layers)


class Own(_Facts):
    """Evidence (e): the network's predictions of the source's classes.

    Attributes:
        images: How many were used.
        classes: How many classes the network knows.
        confidence: Mean largest probability.
        entropy: Mean entropy over that of no idea.
        zoom: Side of the images over the side of those that the network was trained on.
    """

    images: int
    classes: int
    confidence: float
    entropy: float
    zoom: float = 1.0


class Measurement(_Facts):
    """Everything that advice stands on.

    Attributes:
        network: The network.
        task: What the labels are.
        size: How much data there is.
        sample: Images that were looked at.
        stages: Of the network, in forward order.
        codes: None where there was no way to measure it; ``missing`` says why.
        depth: The same.
        batchnorm: The same.
        own: The same.
        missing: Name of a piece of evidence -> why it is not there.
        notes: What else could not be done.
        seconds: What it took.
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
