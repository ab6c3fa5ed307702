"""Depthwise layers of a network that are computed by the kernels for a while."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.autograd import PyLayer

from toolkit.zoo.fast_depthwise.sharing import share
from toolkit.zoo.network import StagedNetwork

__all__ = ["depthwise_layers", "fast_depthwise", "is_installed", "kernels_problem"]

_SIZES, _STRIDES = (3, 5, 7), (1, 2)
_KERNELS = "toolkit.zoo.fast_depthwise.kernels"


def is_installed() -> bool:
    """Whether the ``fast`` extra is there."""
    return find_spec("numba") is not None


@cache
def kernels_problem() -> str | None:
    """What is wrong with numba, as words that follow its name; None where it works. The first call imports it."""
    if not is_installed():
        return "is not installed"
    try:
        import_module(_KERNELS)
    except Exception as error:  # it refuses a numpy that is too new, and whatever else a binary package may do
        return f"does not work here: {error}"
    return None


def depthwise_layers(network: StagedNetwork) -> list[nn.Conv2D]:
    """The layers of a network that ``fast_depthwise`` can help, of those that run now (``StagedNetwork.entering_at``).

    They are depthwise convolutions [N, C, H, W] -> [N, C, H', W'] in float32 with a square kernel of side 3, 5 or 7,
    stride 1 or 2, the same padding with zeros on all sides, and no dilation.

    Args:
        network: Any network.
    """
    running = {
        key for index in range(network.entry, len(network.stage_names)) for key in network.stage_parameters(index)
    }
    return [layer for path, layer in network.named_sublayers() if f"{path}.weight" in running and _is_suitable(layer)]


def _is_suitable(layer: nn.Layer) -> bool:
    return (
        type(layer) is nn.Conv2D
        and layer._groups == layer._in_channels == layer._out_channels > 1
        and tuple(layer._kernel_size) in [(size, size) for size in _SIZES]
        and tuple(layer._stride) in [(stride, stride) for stride in _STRIDES]
        and tuple(layer._dilation) == (1, 1)
        and layer._data_format == "NCHW"
        and layer._padding_mode == "zeros"
        and _padding(layer) is not None
        and layer.weight.dtype == paddle.float32
    )


def _padding(layer: nn.Conv2D) -> int | None:
    """Zeros on each side of the image; None where the sides differ, or are yet unknown."""
    if layer._padding_algorithm == "VALID":
        return 0
    if layer._padding_algorithm != "EXPLICIT":
        return None
    sides = set(np.ravel(layer._updated_padding).tolist())
    return int(sides.pop()) if len(sides) == 1 else None


@contextmanager
def fast_depthwise(layers: Sequence[nn.Conv2D]) -> Iterator[None]:
    """For a while, let layers be computed by the kernels: forward, and backward of what ran forward meanwhile.

    They stay the objects that they are, with another class. What the kernels cannot do (another device, other numbers
    than float32, a network that is traced for export) Paddle does as ever. Results differ by rounding alone, and do
    not depend on the number of threads.

    Args:
        layers: Of ``depthwise_layers``.
    """
    for layer in layers:
        layer.__class__ = _FastDepthwise
    try:
        yield
    finally:
        for layer in layers:
            layer.__class__ = nn.Conv2D


class _FastDepthwise(nn.Conv2D):
    """A depthwise layer while the kernels compute it."""

    def forward(self, x: Tensor) -> Tensor:
        if not (paddle.in_dynamic_mode() and _is_for_kernels(self, x)):
            return nn.Conv2D.forward(self, x)
        settings = self._kernel_size[0], self._stride[0], _padding(self) or 0
        learns = not x.stop_gradient, not self.weight.stop_gradient
        if paddle.is_grad_enabled() and any(learns):
            out = _Depthwise.apply(x, self.weight, settings, learns)
        else:
            out = _forward(x.contiguous(), self.weight.contiguous(), *settings)
        return out if self.bias is None else out + self.bias.reshape([1, -1, 1, 1])


def _is_for_kernels(layer: nn.Conv2D, x: Tensor) -> bool:
    """Whether an input is one that the kernels take; Paddle says what is wrong with others."""
    if not (x.ndim == 4 and x.dtype == paddle.float32 == layer.weight.dtype and x.place.is_cpu_place()):
        return False
    padding = _padding(layer)
    if padding is None or x.shape[0] == 0 or x.shape[1] != layer._in_channels:
        return False
    return min(x.shape[2:]) >= max(1, layer._kernel_size[0] - 2 * padding)


class _Depthwise(PyLayer):
    """A depthwise convolution that Paddle can differentiate, once."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, settings: tuple[int, int, int], learns: tuple[bool, bool]) -> Any:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.settings, ctx.learns = settings, learns
        return _forward(x, weight, *settings)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        if paddle.is_grad_enabled():
            raise RuntimeError("depthwise convolutions by kernels can be differentiated once only")
        x, weight = ctx.saved_tensor()
        of_input, of_weight = ctx.learns
        dy = dy.contiguous()
        return (
            _dinput(dy, x, weight, *ctx.settings) if of_input else None,
            _dweight(x, dy, weight, *ctx.settings) if of_weight else None,
        )


def _forward(x: Tensor, weight: Tensor, size: int, stride: int, padding: int) -> Tensor:
    shape = [*x.shape[:2], *((side + 2 * padding - size) // stride + 1 for side in x.shape[2:])]
    out = paddle.empty(shape, "float32")
    kernel, arrays = _kernels(size, stride).forward, (_planes(x), _planes(weight), _planes(out))
    share(lambda start, stop: kernel(*arrays, padding, start, stop), len(arrays[0]), arrays[0].size)
    return out


def _dinput(dy: Tensor, x: Tensor, weight: Tensor, size: int, stride: int, padding: int) -> Tensor:
    dx = paddle.empty(x.shape, "float32")
    kernel, arrays = _kernels(size, stride).dinput, (_planes(dy), _planes(weight), _planes(dx))
    share(lambda start, stop: kernel(*arrays, padding, start, stop), len(arrays[0]), arrays[2].size)
    return dx


def _dweight(x: Tensor, dy: Tensor, weight: Tensor, size: int, stride: int, padding: int) -> Tensor:
    """Each plane's share first, then their sum over the images in the images' order: the same with any threads."""
    images, channels = x.shape[:2]
    shares = np.empty((images * channels, size, size), np.float32)
    kernel, arrays = _kernels(size, stride).dweight, (_planes(x), _planes(dy), shares)
    share(lambda start, stop: kernel(*arrays, padding, start, stop), len(shares), arrays[0].size)
    return paddle.to_tensor(shares.reshape(images, *weight.shape).sum(axis=0))


def _kernels(size: int, stride: int) -> Any:
    return import_module(_KERNELS).kernels_of(size, stride)


def _planes(tensor: Tensor) -> NDArray[np.float32]:
    """A contiguous tensor's own memory, [N, C, H, W], as an array [N * C, H, W]."""
    shape = tensor.shape
    numbers = (ctypes.c_float * prod(shape)).from_address(tensor.data_ptr())
    return np.ctypeslib.as_array(numbers).reshape(-1, *shape[2:])
