"""Heads that read standardised features."""

from __future__ import annotations

import numpy as np
import paddle
from numpy.typing import ArrayLike, NDArray
from paddle import Tensor, nn

from toolkit.core.errors import NetworkError

FEATURE_STATISTICS = {"feature_mean": 0.0, "feature_scale": 1.0}
"""Buffers, and their values while features are unchanged."""


class StandardisingHead(nn.Layer):
    """A head whose first dense layer reads ``(features - feature_mean) / feature_scale``.

    The scale of features differs by orders of magnitude between networks and stages, and so do suitable learning rates
    of a dense layer; a common mean worsens the conditioning further. A single number scales all features of a stage, so
    those that vary little still contribute little; if a head reads several stages, each has its own. Mean and scale are
    buffers, in the state dict beside the weights; 0 and 1 leave the features unchanged bit for bit.
    """

    _start: NDArray[np.float32]
    standardises: bool = False
    """Whether it has the buffers: nested heads, and those of auxiliary classifiers, do not."""

    @property
    def first_layer(self) -> nn.Linear:
        """The dense layer that reads the features."""
        raise NotImplementedError

    @property
    def is_fresh(self) -> bool:
        """Whether it is untrained and its weights were not set: zero biases and initial weights."""
        layer = self.first_layer
        return not layer.bias.numpy().any() and np.array_equal(layer.weight.numpy(), self._start)

    def keep_feature_statistics(self, width: int, scales: int = 1) -> None:
        """Create the buffers.

        Args:
            width: Number of features.
            scales: Number of stages that they come from; for more than one, the scale is stored for each feature.
        """
        self.standardises = True
        self._start = self.first_layer.weight.numpy().copy()
        self.register_buffer("feature_mean", paddle.zeros([width]))
        self.register_buffer("feature_scale", paddle.ones([1 if scales == 1 else width]))

    def standardised(self, x: Tensor) -> Tensor:
        """Features ``[N, D]`` as the first dense layer reads them."""
        return (x - self.feature_mean) / self.feature_scale if self.standardises else x

    def set_feature_statistics(self, mean: ArrayLike, scale: ArrayLike) -> None:
        """See ``StagedNetwork.set_feature_statistics``."""
        values, divisor = np.asarray(mean, np.float32), np.atleast_1d(np.asarray(scale, np.float32))
        width, scales = self.first_layer.weight.shape[0], self.feature_scale.shape[0]
        if values.shape != (width,):
            raise NetworkError(f"a mean of {values.shape} does not match {width} features")
        if divisor.shape not in ((1,), (scales,)):
            raise NetworkError(f"a scale of {divisor.shape} does not match a head with {scales}")
        if not (np.isfinite(values).all() and np.isfinite(divisor).all() and (divisor > 0).all()):
            raise NetworkError(f"features have scale {divisor}, mean {values}: expected numbers, the scale > 0")
        self.feature_mean.set_value(values)
        self.feature_scale.set_value(np.broadcast_to(divisor, (scales,)).copy())
