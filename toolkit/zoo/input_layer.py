"""Adapt the first convolution to images with other channels than red, green and blue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.nn.initializer import Assign

from toolkit.core.errors import NetworkError
from toolkit.core.evaluation import evaluating
from toolkit.zoo.execution import run
from toolkit.zoo.forward_steps import bind_stage
from toolkit.zoo.spec import NetworkSpec, Stage

_GRAY_STEP = ":gray"  # accepts colour and gray images
_COLOURS = 3


def adapt_filters(filters: NDArray[np.floating], channels: int) -> NDArray[np.floating]:
    """Adapt the filters of a first convolution to another number of channels.

    For one channel, the filters are summed, so that a gray image gives the same result as three equal channels. For
    more, the filters repeat (red, green, blue, red, ...), times own channels / new channels, so that activations keep
    their scale. Same rule as ``adapt_input_conv`` in timm (huggingface/pytorch-image-models, timm/models/_manipulate).

    Args:
        filters: [filters, own channels, height, width].
        channels: New number of channels, 1 or more.

    Returns:
        [filters, channels, height, width]; the same array if the number is unchanged.
    """
    own = filters.shape[1]
    if channels == own:
        return filters
    if channels == 1:
        return filters.sum(axis=1, keepdims=True)
    return filters[:, np.arange(channels) % own] * filters.dtype.type(own / channels)


def adapt_input(
    original: nn.Layer, spec: NetworkSpec, stages: Sequence[Stage], channels: int
) -> tuple[list[Stage], str | None]:
    """Make a network accept images with other channels.

    Args:
        original: The original network; its first convolution gets new weights, derived from its own.
        spec: Its row.
        stages: Its stages, without patterns.
        channels: Channels of the images, 1 or more.

    Returns:
        The stages, without a step that turns colours to gray if that has no use; and the state-dict key of the adapted
        weights, or None if the network already accepts such images.

    Raises:
        NetworkError: The first layer is not a plain convolution on the image.
    """
    if channels < 1:
        raise NetworkError(f"{spec.name}: in_channels is {channels}, expected 1 or more")
    grays = any(_GRAY_STEP in stage.steps for stage in stages)
    if channels == spec.in_channels or (grays and channels == _COLOURS):
        return list(stages), None
    path, layer = _first_convolution(original, spec, stages)
    _replace_weights(layer, adapt_filters(layer.weight.numpy(), channels))
    kept = [replace(stage, steps=tuple(step for step in stage.steps if step != _GRAY_STEP)) for stage in stages]
    return kept, f"{path}.weight"


@dataclass(frozen=True)
class _Call:
    """A call of a layer with weights.

    Attributes:
        path: Its path in the network.
        layer: The layer.
        on_image: Whether it reads the image itself.
    """

    path: str
    layer: nn.Layer
    on_image: bool


def _first_convolution(original: nn.Layer, spec: NetworkSpec, stages: Sequence[Stage]) -> tuple[str, nn.Layer]:
    calls = _calls_of_first_stage(original, spec, stages)
    first = calls[0]
    problem = ""
    if not isinstance(first.layer, nn.Conv2D):
        problem = f"its first layer, {first.path}, is a {type(first.layer).__name__} not a convolution"
    elif first.layer._in_channels != spec.in_channels or not first.on_image:
        problem = f"its first convolution, {first.path}, does not read the image itself"
    elif first.layer._groups != 1:
        problem = f"its first convolution, {first.path}, treats channels in {first.layer._groups} groups"
    elif others := [call.path for call in calls[1:] if call.on_image]:
        problem = f"{first.path} and {', '.join(others)} both read the image"
    if problem:
        raise NetworkError(
            f"{spec.name} cannot take images of other than {spec.in_channels} channels: {problem}",
            hint="omit model.in_channels, or choose another network",
        )
    return first.path, first.layer


def _calls_of_first_stage(original: nn.Layer, spec: NetworkSpec, stages: Sequence[Stage]) -> list[_Call]:
    """Layers with weights called by the first stage that has any, in order."""
    size = spec.min_size
    image = paddle.linspace(-1.0, 1.0, spec.in_channels * size * size).reshape([1, spec.in_channels, size, size])
    calls: list[_Call] = []
    leaves = [
        (path, layer)
        for path, layer in original.named_sublayers()
        if any(parameter is not None for parameter in layer._parameters.values()) and not layer._sub_layers
    ]
    hooks = [layer.register_forward_pre_hook(_noting(calls, path, image)) for path, layer in leaves]
    try:
        with evaluating(original), paddle.no_grad():
            x = image
            for stage in stages:
                x = run([bind_stage(original, stage.name, stage.steps)], x)
                if calls:
                    return calls
    finally:
        for hook in hooks:
            hook.remove()
    raise NetworkError(f"{spec.name} has no layer with weights")


def _noting(calls: list[_Call], path: str, image: Tensor) -> Callable[[nn.Layer, tuple[Tensor, ...]], None]:
    def note(layer: nn.Layer, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        on_image = list(x.shape) == list(image.shape) and bool((x == image).all())
        calls.append(_Call(path, layer, on_image))

    return note


def _replace_weights(layer: nn.Layer, filters: NDArray[np.floating]) -> None:
    old = layer.weight
    new = layer.create_parameter(list(filters.shape), dtype=str(filters.dtype), default_initializer=Assign(filters))
    new.optimize_attr, new.regularizer, new.stop_gradient = old.optimize_attr, old.regularizer, old.stop_gradient
    layer.weight = new
    layer._in_channels = filters.shape[1]
