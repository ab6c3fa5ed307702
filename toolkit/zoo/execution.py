"""Run parts of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import paddle
from paddle import Tensor, nn

from toolkit.core.evaluation import evaluating
from toolkit.zoo.forward_steps import BoundStage


def run(parts: Iterable[BoundStage], x: Tensor) -> Tensor:
    """Run all steps of the parts in sequence."""
    for part in parts:
        for step in part.steps:
            x = step(x)
    return x


def output_shape(stages: Sequence[BoundStage], channels: int, size: int) -> tuple[int, ...]:
    """Output shape of stages for a blank image, without the batch axis.

    Args:
        stages: The first stages of a network.
        channels: Channels of the image.
        size: Side of the image in pixels.

    Returns:
        ``(C, H, W)`` for a map, ``(D,)`` for features.
    """
    trunk = nn.LayerList([layer for stage in stages for layer in stage.layers.values()])
    with evaluating(trunk), paddle.no_grad():
        return tuple(run(stages, paddle.zeros([1, channels, size, size])).shape[1:])
