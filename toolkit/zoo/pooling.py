"""Pooling of stages' maps into the features that a new head reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

from toolkit.core.errors import NetworkError
from toolkit.zoo.execution import output_shapes
from toolkit.zoo.forward_steps import BoundStage, Step
from toolkit.zoo.functions import FUNCTIONS

_SMALLEST = 1e-6  # lower bound of values in GeM
_MAP = 3  # axes of a map without the batch axis


def _max(x: Tensor) -> Tensor:
    """Maximum over height and width if present: [N, C, H, W] -> [N, C]; [N, D] is returned unchanged."""
    return paddle.flatten(F.adaptive_max_pool2d(x, 1), 1) if x.ndim == _MAP + 1 else x


class GeMPool(nn.Layer):
    """Generalised mean over height and width with a learned power.

    Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation" (arXiv 1711.02512), equation 3:
    ``(mean of x^p)^(1/p)``, with one power for all channels that starts at 3. Power 1 is the average; a large power
    approaches the maximum. Values are clipped to at least 1e-6. They are divided by each channel's maximum before the
    power and multiplied by it afterwards, so that no power overflows; below a power of 1 the gradient would, so the
    power is at least 1 there.

    Args:
        power: Initial power.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.p = self.create_parameter([1], default_initializer=Constant(power))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C]; [N, D] is returned unchanged."""
        if x.ndim != _MAP + 1:
            return x
        power = paddle.clip(self.p, min=1.0)
        x = paddle.clip(x, min=_SMALLEST)
        largest = paddle.max(x, axis=[2, 3], keepdim=True).detach()
        mean = paddle.mean(paddle.pow(x / largest, power), axis=[2, 3])
        return paddle.pow(mean, 1.0 / power) * paddle.flatten(largest, 1)


class Flatten:
    """Flatten all positions of a map.

    Args:
        shape: The only map shape it accepts, (C, H, W).
        size: Side of the corresponding image, in pixels.
    """

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        self.shape = shape
        self.size = size

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C * H * W]; [N, D] is returned unchanged.

        Raises:
            NetworkError: The map has another shape.
        """
        if x.ndim != _MAP + 1:
            return x
        shape = tuple(x.shape[1:])
        if min(shape) > 0 and shape != self.shape:  # -1 means a size not known yet
            raise NetworkError(
                f"pooling none was created for maps of {self.shape}, from images of {self.size} pixels; "
                f"these images give maps of {shape}",
                hint=f"use images of {self.size} pixels, or another pooling",
            )
        return paddle.flatten(x, 1)


_FUNCTIONS: Mapping[str, Step] = {"avg": FUNCTIONS[":pool"], "max": _max}


@dataclass(frozen=True)
class Pooling:
    """How a map is reduced to features.

    Attributes:
        kind: ``avg``, ``max``, ``gem`` or ``none``; ``avg`` if there is no map to pool.
        steps: Callables, in order.
        width: Number of features.
        layer: The step with weights, if any.
        fixed: Whether it has no weights and gives one number per channel, so that features may be cached pooled.
        taps: Indices of the stages whose pooled outputs are the features, ascending; () for the last one alone.
        pieces: Number of features of each tap, or of the last stage.
    """

    kind: str
    steps: tuple[Step, ...]
    width: int
    layer: nn.Layer | None = None
    fixed: bool = True
    taps: tuple[int, ...] = ()
    pieces: tuple[int, ...] = ()

    def behind(self, steps: tuple[Step, ...]) -> Pooling:
        """A copy with other steps before it."""
        return replace(self, steps=(*steps, *self.steps))


def build_pooling(kind: str, shape: tuple[int, ...], size: int) -> Pooling:
    """Build the configured pooling.

    Args:
        kind: ``avg``, ``max``, ``gem`` or ``none`` (all positions).
        shape: Output shape of the last stage for one image: (C, H, W), or (D,), which needs no pooling.
        size: Side of the image in pixels.
    """
    if len(shape) != _MAP:
        return Pooling("avg", (FUNCTIONS[":pool"],), shape[-1])
    if kind in _FUNCTIONS:
        return Pooling(kind, (_FUNCTIONS[kind],), shape[0])
    if kind == "gem":
        layer = GeMPool()
        return Pooling(kind, (layer,), shape[0], layer, fixed=False)
    return Pooling(kind, (Flatten(shape, size),), prod(shape), fixed=False)


def build_tapped_pooling(
    name: str,
    kind: str,
    taps: Sequence[int],
    stages: Sequence[BoundStage],
    features: BoundStage,
    image: tuple[int, int],
) -> Pooling:
    """Build the pooling of several stages, whose features are concatenated: Evci et al. 2022, arXiv:2201.03529.

    Args:
        name: Name of the network, for messages.
        kind: ``avg`` or ``max``.
        taps: Indices of the stages, ascending.
        stages: All kept stages.
        features: Steps from a stage's output to something that can be pooled.
        image: Channels and side of a blank image to measure the features with.

    Raises:
        NetworkError: Another kind, or the output of a stage cannot be pooled.
    """
    if kind not in _FUNCTIONS:
        raise NetworkError(
            f"model.pooling: {kind} reads one map, but the head of {name} reads {len(taps)} stages",
            hint="set model.pooling: avg or max, or model.head.stages: last",
        )
    steps, pieces = (*features.steps, _FUNCTIONS[kind]), []
    for index, shape in enumerate(output_shapes(stages[: taps[-1] + 1], *image, steps)):
        if index in taps and len(shape) != 1:
            raise NetworkError(
                f"{name}: {stages[index].name} outputs {shape} per image, which a head cannot read",
                hint="leave this stage out of model.head.stages, or set model.head.stages: last",
            )
        pieces += [shape[0]] if index in taps else []
    return Pooling(kind, steps, sum(pieces), taps=tuple(taps), pieces=tuple(pieces))
