"""Specifications of networks: one row per network.

A *step* is a short string. ``"layer1.0"`` is the path of a sublayer in the original network; ``":relu"`` is one of the
functions of ``toolkit.zoo.forward_steps`` for operations between sublayers. A function is followed by the paths of the
sublayers or parameters that it uses: ``":add pos_embed"``. A *stage* is a name and its steps. Stages run in order,
followed by the ``top``, which contains the classifier (``head``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Stage:
    """One stage of a row, or a pattern for several.

    Attributes:
        name: Name of the stage. A pattern (``layer1.*``, ``conv*``) stands for one stage per matching sublayer, in the
            order of the network.
        steps: What the stage runs, in order. A pattern has one step: itself, or a step with another pattern
            (``":grid layers.0.blocks.*"``, ``"bb_0_*"``); then that pattern is matched, and stages are numbered from 0
            instead of the name's star.
    """

    name: str
    steps: tuple[str, ...]


def stage(name: str, *steps: str) -> Stage:
    """A stage; without steps it is the sublayer (or the pattern) of that name."""
    return Stage(name, steps or (name,))


@dataclass(frozen=True)
class Auxiliary:
    """An auxiliary classifier on an intermediate stage, for its loss in training.

    Attributes:
        after: Name of the stage whose output it reads.
        steps: Steps from that output to logits.
        head: Path of its last dense layer, one of the steps; a new layer replaces it under the same name.
        width: Number of features that the last dense layer reads.
        weight: Factor of its loss.
        min_size: Smallest image side, in pixels, that its dense layers support.
        max_size: Largest image side.
    """

    after: str
    steps: tuple[str, ...]
    head: str
    width: int
    weight: float
    min_size: int
    max_size: int


@dataclass(frozen=True)
class PretrainedWeights:
    """ImageNet weights that can be downloaded.

    Attributes:
        url: URL of the file.
        md5: Checksum of the file, in hex; None if not published. Then a download is valid if it has the size announced
            by the server and contains arrays, and loading it requires every key and shape to match.
    """

    url: str
    md5: str | None = None


@dataclass(frozen=True)
class NetworkSpec:
    """One network.

    Attributes:
        name: Name in the zoo.
        factory: Dotted path of the function or class that builds the original network.
        stages: The backbone, in forward order.
        head: Path of the classifier, a layer in ``top``; a new head replaces it under the same name.
        top: Steps from the last stage's output to the logits, including the head.
        width: Number of features that the head reads.
        features: Steps from a stage's output to something that can be pooled, a map [N, C, H, W] or features [N, D];
            for networks whose stages output tokens [N, L, C]. A new head builds on these, wherever the network is cut.
        options: Keyword arguments of the factory.
        auxiliary: Auxiliary classifiers, which run in training only; see ``Auxiliary``.
        input_size: Side of the square input the weights were trained on, in pixels.
        min_size: Smallest supported side, in pixels: no convolution or pooling window exceeds its input. 32 if it could
            be less.
        max_size: Largest side, for networks with dense layers or position embeddings of a fixed size; None: any.
        in_channels: Channels that the first layer reads; 1 means gray; the network converts colour images itself.
        classes: Number of classes of the original classifier.
        mean: Mean of each channel (red, green, blue) of an image in [0, 1].
        std: Standard deviation of each channel of an image in [0, 1].
        weights: Pretrained weights, or None.
        top1: Published ImageNet top-1 accuracy of these weights as a fraction, or None if not known for sure.
    """

    name: str
    factory: str
    stages: tuple[Stage, ...]
    head: str
    top: tuple[str, ...]
    width: int
    features: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    auxiliary: tuple[Auxiliary, ...] = ()
    input_size: int = 224
    min_size: int = 32
    max_size: int | None = None
    in_channels: int = 3
    classes: int = 1000
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights: PretrainedWeights | None = None
    top1: float | None = None

    @property
    def pretrained(self) -> bool:
        """Whether weights can be downloaded."""
        return self.weights is not None

    @property
    def library(self) -> str:
        """The package that builds the original network: ``paddle`` or ``paddleclas``."""
        return self.factory.partition(".")[0]
