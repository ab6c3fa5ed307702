"""Depthwise convolutions plane by plane; on a CPU, Paddle uses one small matrix product per channel instead."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.kernels.method import Geometry, Method, array_of
from toolkit.kernels.thread_pool import share

_KERNELS = "toolkit.kernels.depthwise_kernels"
_SIZES, _STRIDES = (3, 5, 7), (1, 2)


def _suits(layer: nn.Conv2D, geometry: Geometry) -> bool:
    depthwise = layer._groups == layer._in_channels == layer._out_channels > 1
    return depthwise and geometry.size in _SIZES and geometry.stride in _STRIDES


def _takes(geometry: Geometry, shape: Sequence[int]) -> bool:
    return True


def _forward(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    out = paddle.empty([*x.shape[:2], *geometry.output(*x.shape[2:])], "float32")
    kernel, arrays = _kernels(geometry).forward, (_planes(x), _planes(weight), _planes(out))
    share(lambda start, stop: kernel(*arrays, geometry.padding, start, stop), len(arrays[0]), arrays[0].size)
    return out


def _dinput(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    dx = paddle.empty(x.shape, "float32")
    kernel, arrays = _kernels(geometry).dinput, (_planes(dy), _planes(weight), _planes(dx))
    share(lambda start, stop: kernel(*arrays, geometry.padding, start, stop), len(arrays[0]), arrays[2].size)
    return dx


def _dweight(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Compute each plane's share, then sum over the images in order: the result does not depend on threads."""
    images, channels = x.shape[:2]
    shares = np.empty((images * channels, geometry.size, geometry.size), np.float32)
    kernel, arrays = _kernels(geometry).dweight, (_planes(x), _planes(dy), shares)
    share(lambda start, stop: kernel(*arrays, geometry.padding, start, stop), len(shares), arrays[0].size)
    return paddle.to_tensor(shares.reshape(images, *weight.shape).sum(axis=0))


def _kernels(geometry: Geometry) -> Any:
    return import_module(_KERNELS).kernels_of(geometry.size, geometry.stride)


def _planes(tensor: Tensor) -> NDArray[np.float32]:
    """View a tensor [N, C, H, W] as an array [N * C, H, W]."""
    return array_of(tensor).reshape(-1, *tensor.shape[2:])


DEPTHWISE = Method(_suits, _takes, _forward, _dinput, _dweight)
"""Kernels of side 3, 5 or 7, stride 1 or 2."""
