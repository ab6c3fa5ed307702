"""Heads that see standardised features."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import ArrayLike, NDArray
from paddle import Tensor, nn

from toolkit.core.errors import NetworkError

FEATURE_STATISTICS = {"feature_mean": 0.0, "feature_scale": 1.0}
"""Buffers, and their values as long as features are taken as they are."""


class StandardisingHead(nn.Layer):
    """A head whose first dense layer sees ``(features - feature_mean) / feature_scale``.

    The scale of features differs by orders of magnitude between networks and between their stages, and with it the
    learning rates that suit a dense layer; a common mean makes its problem worse conditioned still. One number scales
    all features: those that vary little keep saying little. Mean and scale are buffers, in the state dict beside the
    weights; 0 and 1 leave the features as they are, to the bit.
    """

    _start: NDArray[np.float32]
    standardises: bool = False
    """Whether it has the buffers: heads inside of heads, and those of auxiliary classifiers, have none."""

    @property
    def first_layer(self) -> nn.Linear:
        """The dense layer that reads the features."""
        raise NotImplementedError

    @property
    def is_fresh(self) -> bool:
        """Whether it has learned nothing and nobody has set its weights: biases are zeros, weights as they began."""
        layer = self.first_layer
        return not layer.bias.numpy().any() and np.array_equal(layer.weight.numpy(), self._start)

    def keep_feature_statistics(self, width: int) -> None:
        """Make the buffers, for so many features."""
        self.standardises = True
        self._start = self.first_layer.weight.numpy().copy()
        self.register_buffer("feature_mean", paddle.zeros([width]))
        self.register_buffer("feature_scale", paddle.ones([1]))

    def standardised(self, x: Tensor) -> Tensor:
        """Features ``[N, D]`` as the first dense layer sees them."""
        return (x - self.feature_mean) / self.feature_scale if self.standardises else x

    def set_feature_statistics(self, mean: ArrayLike, scale: float) -> None:
        """See ``StagedNetwork.set_feature_statistics``."""
        values, divisor = np.asarray(mean, np.float32), np.array([scale], np.float32)
        width = self.first_layer.weight.shape[0]
        if values.shape != (width,):
            raise NetworkError(f"a mean of {values.shape} does not fit {width} features")
        if not (np.isfinite(values).all() and np.isfinite(divisor).all() and divisor[0] > 0):
            raise NetworkError(f"features have scale {scale}, mean {values}: expected numbers, the scale above 0")
        self.feature_mean.set_value(values)
        self.feature_scale.set_value(divisor)
