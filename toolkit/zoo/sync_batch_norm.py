"""BatchNorm with statistics over the batches of all GPUs that train together."""

from __future__ import annotations

from functools import cache
from typing import Any

import paddle
from paddle import Tensor, _C_ops, nn

BATCH_NORMS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)
"""Layers with running statistics."""


class _Synchronised:
    """Mixed into one of Paddle's BatchNorm classes: changes only what it computes in training.

    Frozen layers, evaluation and export are unaffected, unlike with Paddle's ``SyncBatchNorm``.
    """

    def forward(self: Any, x: Tensor) -> Tensor:
        """Like Paddle's own ``forward``."""
        if not self.training or self._use_global_stats:
            return super().forward(x)  # type: ignore[misc]
        y = _normalise(self, x)
        act = getattr(self, "_act", None)  # of nn.BatchNorm
        return y if act is None else getattr(nn.functional, act)(y)


def _normalise(layer: Any, x: Tensor) -> Tensor:
    """Normalise by the statistics of all processes, and update the running ones."""
    weight = paddle.ones_like(layer._mean) if layer.weight is None else layer.weight
    bias = paddle.zeros_like(layer._mean) if layer.bias is None else layer.bias
    layout = getattr(layer, "_data_layout", None) or layer._data_format
    layout = "NHWC" if layout in ("NHWC", "NDHWC", "NLC") else "NCHW"
    settings = (False, layer._momentum, layer._epsilon, layout, False, False)
    return _C_ops.sync_batch_norm_(x, layer._mean, layer._variance, weight, bias, *settings)[0]


@cache
def _synchronised(kind: Any) -> Any:
    return type(kind.__name__, (_Synchronised, kind), {})


def synchronise(network: nn.Layer) -> int:
    """Make every BatchNorm layer use statistics over all processes; weights and statistics are unchanged.

    The layers remain the same objects, with another class, so references to them (stages, parents, lists) and
    optimizers stay valid. A second call does nothing.

    Args:
        network: Any layer.

    Returns:
        Number of BatchNorm layers.
    """
    layers = [layer for layer in network.sublayers(include_self=True) if isinstance(layer, BATCH_NORMS)]
    for layer in layers:
        if not is_synchronised(layer):
            kind: Any = type(layer)
            layer.__class__ = _synchronised(kind)
    return len(layers)


def is_synchronised(layer: nn.Layer) -> bool:
    """Whether a layer was synchronised."""
    return isinstance(layer, _Synchronised)
