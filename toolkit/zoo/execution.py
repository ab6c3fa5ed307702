"""Run parts of a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import paddle
from paddle import Tensor, nn

from toolkit.core.evaluation import evaluating
from toolkit.zoo.forward_steps import BoundStage, Step


def run(parts: Iterable[BoundStage], x: Tensor) -> Tensor:
    """Run all steps of the parts in sequence."""
    for part in parts:
        x = run_steps(part.steps, x)
    return x


def run_steps(steps: Iterable[Step], x: Tensor) -> Tensor:
    """Run steps in sequence."""
    for step in steps:
        x = step(x)
    return x


def output_shapes(
    stages: Sequence[BoundStage], channels: int, size: int, pool: Sequence[Step]
) -> Iterator[tuple[int, ...]]:
    """Shapes of the pooled outputs of all stages for a blank image, without the batch axis.

    Args:
        stages: The first stages of a network.
        channels: Channels of the image.
        size: Side of the image in pixels.
        pool: Steps that pool the output of a stage.
    """
    trunk = nn.LayerList([layer for stage in stages for layer in stage.layers.values()])
    with evaluating(trunk), paddle.no_grad():
        x = paddle.zeros([1, channels, size, size])
        for stage in stages:
            x = run([stage], x)
            yield tuple(run_steps(pool, x).shape[1:])


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
