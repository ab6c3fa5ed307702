"""From the last stage's map to the features that a new head reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn
from paddle.nn.initializer import Constant

from toolkit.core.errors import NetworkError
from toolkit.zoo.forward_steps import Step
from toolkit.zoo.functions import FUNCTIONS

_SMALLEST = 1e-6  # what GeM takes for zero
_MAP = 3  # axes of a map without the batch axis


def _max(x: Tensor) -> Tensor:
    """Maximum over height and width where there are any: [N, C, H, W] -> [N, C]; [N, D] stays."""
    return paddle.flatten(F.adaptive_max_pool2d(x, 1), 1) if x.ndim == _MAP + 1 else x


class GeMPool(nn.Layer):
    """Generalised mean over height and width, whose power is learned.

    Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation" (arXiv 1711.02512), equation 3:
    ``(mean of x^p)^(1/p)``, with one power for all channels that starts at 3. Power 1 is the average, a large one comes
    near the maximum. Values are taken as 1e-6 at least. They are divided by each channel's maximum before the power and
    multiplied with it afterwards, so that no power overflows; below a power of 1 the gradient would, so that it counts
    as 1 there.

    Args:
        power: Where the power starts.
    """

    def __init__(self, power: float = 3.0) -> None:
        super().__init__()
        self.p = self.create_parameter([1], default_initializer=Constant(power))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C]; [N, D] stays."""
        if x.ndim != _MAP + 1:
            return x
        power = paddle.clip(self.p, min=1.0)
        x = paddle.clip(x, min=_SMALLEST)
        largest = paddle.max(x, axis=[2, 3], keepdim=True).detach()
        mean = paddle.mean(paddle.pow(x / largest, power), axis=[2, 3])
        return paddle.pow(mean, 1.0 / power) * paddle.flatten(largest, 1)


class Flatten:
    """All positions of a map, one after the other.

    Args:
        shape: The only shape of map it takes, (C, H, W).
        size: Side of the image that it comes from, in pixels.
    """

    def __init__(self, shape: tuple[int, ...], size: int) -> None:
        self.shape = shape
        self.size = size

    def __call__(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C * H * W]; [N, D] stays.

        Raises:
            NetworkError: The map has another shape.
        """
        if x.ndim != _MAP + 1:
            return x
        shape = tuple(x.shape[1:])
        if min(shape) > 0 and shape != self.shape:  # -1 stands for a size that is not known yet
            raise NetworkError(
                f"pooling none was made for maps of {self.shape}, from images of {self.size} pixels; "
                f"these images give maps of {shape}",
                hint=f"use images of {self.size} pixels, or another pooling",
            )
        return paddle.flatten(x, 1)


_FUNCTIONS: Mapping[str, Step] = {"avg": FUNCTIONS[":pool"], "max": _max}


@dataclass(frozen=True)
class Pooling:
    """How a map becomes features.

    Attributes:
        kind: ``avg``, ``max``, ``gem`` or ``none``; ``avg`` too where there is no map to pool.
        steps: What to call, in order.
        width: Number of features.
        layer: The one of the steps that has something to learn.
        fixed: Whether there is nothing to learn and one number comes from a channel, so that features may be kept
            pooled.
    """

    kind: str
    steps: tuple[Step, ...]
    width: int
    layer: nn.Layer | None = None
    fixed: bool = True

    def behind(self, steps: tuple[Step, ...]) -> Pooling:
        """The same with other steps before it."""
        return replace(self, steps=(*steps, *self.steps))


def build_pooling(kind: str, shape: tuple[int, ...], size: int) -> Pooling:
    """The pooling that a config asks for.

    Args:
        kind: ``avg``, ``max``, ``gem`` or ``none`` (all positions).
        shape: What the last stage gives for one image: (C, H, W), or (D,), which needs no pooling.
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
