"""The interface of a convolution method."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from paddle import Tensor, nn


class Geometry(NamedTuple):
    """A square kernel of side ``size``, its stride, and the zero padding on each side of the image."""

    size: int
    stride: int
    padding: int

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of the output."""
        rows, columns = ((side + 2 * self.padding - self.size) // self.stride + 1 for side in (height, width))
        return rows, columns


class Method(NamedTuple):
    """A method for computing convolutions of float32 images ``x`` [N, C, H, W]; all tensors are contiguous, on the CPU.

    Attributes:
        suits: ``(layer, geometry)``: whether the method suits a layer.
        takes: ``(geometry, shape)``: whether it takes images of shape [N, C, H, W].
        forward: ``(x, weight, geometry)`` -> the output.
        dinput: ``(dy, x, weight, geometry)`` -> the gradient of ``x``.
        dweight: ``(dy, x, weight, geometry)`` -> the gradient of ``weight``.
    """

    suits: Callable[[nn.Conv2D, Geometry], bool]
    takes: Callable[[Geometry, Sequence[int]], bool]
    forward: Callable[[Tensor, Tensor, Geometry], Tensor]
    dinput: Callable[[Tensor, Tensor, Tensor, Geometry], Tensor]
    dweight: Callable[[Tensor, Tensor, Tensor, Geometry], Tensor]


def array_of(tensor: Tensor) -> NDArray[np.float32]:
    """A contiguous tensor's memory as an array, without a copy."""
    numbers = (ctypes.c_float * prod(tensor.shape)).from_address(tensor.data_ptr())
    return np.ctypeslib.as_array(numbers).reshape(tensor.shape)
