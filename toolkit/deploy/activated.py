"""A network with an activation that makes its outputs readable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import paddle
from paddle.nn import Layer

from toolkit.tasks import Activation


def _softmax(outputs: paddle.Tensor) -> paddle.Tensor:
    return paddle.nn.functional.softmax(outputs, axis=-1)


def _sigmoid(outputs: paddle.Tensor) -> paddle.Tensor:
    return paddle.nn.functional.sigmoid(outputs)


def _unchanged(outputs: paddle.Tensor) -> paddle.Tensor:
    return outputs


_FUNCTIONS: Mapping[Activation, Callable[[paddle.Tensor], paddle.Tensor]] = MappingProxyType(
    {"softmax": _softmax, "sigmoid": _sigmoid, "none": _unchanged}
)


class Activated(Layer):
    """A network followed by an activation.

    Args:
        network: Maps images to outputs ``[N, outputs]``.
        activation: Activation that turns outputs into probabilities or values.
    """

    def __init__(self, network: Layer, activation: Activation) -> None:
        super().__init__()
        self.network = network
        self._activation = _FUNCTIONS[activation]

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        """Map images ``[N, C, S, S]`` to ``[N, outputs]``."""
        return self._activation(self.network(image))
