"""Run a network's convolutions with the kernels, as a context manager."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.autograd import PyLayer
from threadpoolctl import ThreadpoolController

from toolkit.kernels.depthwise import DEPTHWISE
from toolkit.kernels.method import Geometry, Method
from toolkit.kernels.winograd import WINOGRAD

_METHODS = (DEPTHWISE, WINOGRAD)


def is_installed() -> bool:
    """Whether the ``fast`` extra is installed."""
    return find_spec("numba") is not None


@cache
def kernels_problem() -> str | None:
    """What is wrong with numba, as words that follow its name; None if it works. The first call imports it."""
    if not is_installed():
        return "is not installed"
    try:
        import_module("toolkit.kernels.depthwise_kernels")
        import_module("toolkit.kernels.winograd_kernels")
    except Exception as error:  # for instance, numba rejects a numpy that is too new
        return f"does not work here: {error}"
    return None


def suitable_layers(layers: Iterable[nn.Layer]) -> list[nn.Conv2D]:
    """The layers that ``fast_convolutions`` can accelerate.

    These are convolutions [N, C, H, W] -> [N, C', H', W'] in float32 with a square kernel, equal zero padding on all
    sides and no dilation: depthwise ones of side 3, 5 or 7 and stride 1 or 2, and plain ones of side 3 and stride 1.

    Args:
        layers: Any layers.
    """
    return [layer for layer in layers if _method(layer) is not None]


def _method(layer: nn.Layer) -> Method | None:
    """The method for a layer in its current state; None: Paddle."""
    geometry = _geometry(layer)
    return geometry and next((method for method in _METHODS if method.suits(layer, geometry)), None)


def _geometry(layer: nn.Layer) -> Geometry | None:
    """The layer's geometry; None if no method suits it or the padding is not known yet."""
    if not (
        type(layer) in (nn.Conv2D, _FastConv2D)
        and tuple(layer._dilation) == (1, 1)
        and layer._data_format == "NCHW"
        and layer._padding_mode == "zeros"
        and layer.weight.dtype == paddle.float32
    ):
        return None
    paddings = [0] if layer._padding_algorithm == "VALID" else layer._updated_padding
    if layer._padding_algorithm not in ("VALID", "EXPLICIT"):
        return None
    sides = [set(np.ravel(values).tolist()) for values in (layer._kernel_size, layer._stride, paddings)]
    return Geometry(*(int(values.pop()) for values in sides)) if all(len(values) == 1 for values in sides) else None


@contextmanager
def fast_convolutions(layers: Sequence[nn.Conv2D]) -> Iterator[None]:
    """Run layers with the kernels within the context: forward, and backward of forward passes made in it.

    The layers remain the same objects, with another class. Paddle still computes what the kernels cannot (another
    device, other types than float32, a network traced for export). Results differ only by rounding, and do not depend
    on the number of threads. Within the context, NumPy and SciPy multiply matrices with one thread, as the kernels
    have threads of their own.

    Args:
        layers: Layers returned by ``suitable_layers``.
    """
    with ExitStack() as until:
        for layer in layers:
            layer.__class__ = _FastConv2D
            until.callback(setattr, layer, "__class__", nn.Conv2D)
        if any(_method(layer) is WINOGRAD for layer in layers):
            until.enter_context(_controller().limit(limits=1, user_api="blas"))
        yield


@cache
def _controller() -> ThreadpoolController:
    kernels_problem()  # loads the kernels' BLAS: a controller only knows libraries loaded before it
    return ThreadpoolController()


class _FastConv2D(nn.Conv2D):
    """A layer computed by the kernels."""

    def forward(self, x: Tensor) -> Tensor:
        method, geometry = _method(self), _geometry(self)
        if method is None or geometry is None or not (paddle.in_dynamic_mode() and _takes(method, geometry, self, x)):
            return nn.Conv2D.forward(self, x)
        learns = not x.stop_gradient, not self.weight.stop_gradient
        if paddle.is_grad_enabled() and any(learns):
            out = _Convolution.apply(x, self.weight, method, geometry, learns)
        else:
            out = method.forward(x.contiguous(), self.weight.contiguous(), geometry)
        return out if self.bias is None else out + self.bias.reshape([1, -1, 1, 1])


def _takes(method: Method, geometry: Geometry, layer: nn.Conv2D, x: Tensor) -> bool:
    """Whether the kernels accept an input; Paddle reports what is wrong with invalid ones."""
    if not (x.ndim == 4 and x.dtype == paddle.float32 and x.place.is_cpu_place()):
        return False
    if x.shape[0] == 0 or x.shape[1] != layer._in_channels:
        return False
    return min(x.shape[2:]) >= max(1, geometry.size - 2 * geometry.padding) and method.takes(geometry, x.shape)


class _Convolution(PyLayer):
    """A convolution that Paddle can differentiate once."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, method: Method, geometry: Geometry, learns: tuple[bool, bool]
    ) -> Any:
        x, weight = x.contiguous(), weight.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.method, ctx.geometry, ctx.learns = method, geometry, learns
        return method.forward(x, weight, geometry)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> Any:
        if paddle.is_grad_enabled():
            raise RuntimeError("convolutions by kernels can be differentiated only once")
        x, weight = ctx.saved_tensor()
        of_input, of_weight = ctx.learns
        given = dy.contiguous(), x, weight, ctx.geometry
        return (
            ctx.method.dinput(*given) if of_input else None,
            ctx.method.dweight(*given) if of_weight else None,
        )
