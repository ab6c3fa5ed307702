"""Convolutions with 3 x 3 kernels and stride 1, by Winograd's minimal filtering: 2.25 times fewer multiplications."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.kernels.method import Geometry, Method, array_of
from toolkit.kernels.thread_pool import share

_KERNELS = "toolkit.kernels.winograd_kernels"
_CHANNELS, _TILES = 24, 40
"""Below these, for a layer or a batch, the transforms cost more than the multiplications they save."""
_SAVED = 1.5
"""Minimum factor of saved multiplications: 2 x 2 tiles overhang maps of one or three rows."""
_CACHE = 12544
"""Elements of a piece's images [C, T], chosen so that their tiles stay in a core's cache."""
_BUFFER = 2**18
"""Elements [C + K, T] of a piece that all threads work on together."""


def _suits(layer: nn.Conv2D, geometry: Geometry) -> bool:
    channels = min(layer._in_channels, layer._out_channels)
    return layer._groups == 1 and channels >= _CHANNELS and geometry[:2] == (3, 1) and geometry.padding <= 2


def _takes(geometry: Geometry, shape: Sequence[int]) -> bool:
    rows, columns = geometry.output(*shape[2:])
    tiles = -(-rows // 2) * -(-columns // 2)
    return shape[0] * tiles >= _TILES and 9 * rows * columns >= _SAVED * 16 * tiles


def _forward(x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    out = paddle.empty([x.shape[0], weight.shape[0], *geometry.output(*x.shape[2:])], "float32")
    _correlate(array_of(x), array_of(weight), array_of(out), geometry.padding, turned=False)
    return out


def _dinput(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    dx = paddle.empty(x.shape, "float32")
    _correlate(array_of(dy), array_of(weight), array_of(dx), 2 - geometry.padding, turned=True)
    return dx


def _correlate(
    x: NDArray[np.float32], weight: NDArray[np.float32], out: NDArray[np.float32], padding: int, *, turned: bool
) -> None:
    kernels = _kernels()
    u = np.empty((16, kernels.line(weight.shape[0] * weight.shape[1])), np.float32)
    share(partial(kernels.transform_kernel, weight, u), len(weight), u.size)
    pieces = _pieces(out.shape, max(_CACHE // x.shape[1], x.shape[1] // 4))
    share(partial(kernels.correlate, x, u, out, padding, turned, pieces), len(pieces), x.size)


def _dweight(dy: Tensor, x: Tensor, weight: Tensor, geometry: Geometry) -> Tensor:
    """Threads share the channels of a piece, then its 16 products; pieces are processed in sequence."""
    kernels = _kernels()
    outputs, inputs = weight.shape[:2]
    u = np.zeros((16, kernels.line(outputs * inputs)), np.float32)
    for piece in _pieces(dy.shape, _BUFFER // (inputs + outputs)):
        tiles = (piece[1] - piece[0]) * (piece[3] - piece[2]) * -(-dy.shape[3] // 2)
        v, m = (np.empty((16, kernels.line(channels * tiles)), np.float32) for channels in (inputs, outputs))
        transform = partial(kernels.transform_tiles, array_of(x), array_of(dy), v, m, geometry.padding, piece)
        share(transform, inputs + outputs, v.size)
        share(partial(kernels.multiply_tiles, v, m, u, inputs, outputs, tiles), 16, v.size)
    gradient = paddle.empty(weight.shape, "float32")
    share(partial(kernels.gradient_of_kernel, u, array_of(gradient)), outputs, u.size)
    return gradient


def _pieces(out: Sequence[int], tiles: int) -> NDArray[np.int64]:
    """Pieces of about ``tiles`` tiles, from the shape [N, K, OH, OW] alone: rows of one image, or whole images."""
    height, width = -(-out[2] // 2), -(-out[3] // 2)
    rows, images = _even(height, tiles // width), _even(out[0], tiles // (height * width))
    return np.array(
        [
            (first, min(out[0], first + images), top, min(height, top + rows))
            for first in range(0, out[0], images)
            for top in range(0, height, rows)
        ],
        np.int64,
    )


def _even(count: int, most: int) -> int:
    """Size of nearly equal parts of ``count`` items with at most ``most`` (but at least one) each."""
    return -(-count // -(-count // max(1, most)))


def _kernels() -> Any:
    return import_module(_KERNELS).kernels()


WINOGRAD = Method(_suits, _takes, _forward, _dinput, _dweight)
"""Kernels of side 3, stride 1, with at most two zeros of padding."""
