"""Convolutions with 3 x 3 kernels and stride 1 by Winograd's minimal filtering F(2 x 2, 3 x 3), compiled.

Squares of 2 x 2 outputs ("tiles") are computed from 4 x 4 inputs with 16 multiplications instead of 36
(Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, equations 8 and 9; gradients are the
adjoints). Over all channels and tiles these are 16 matrix products, which OpenBLAS computes.

Work is split into pieces by shape alone, and one thread computes each piece: results do not depend on the number of
threads, as long as BLAS uses one. Pieces are small enough for the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  numba multiplies matrices with it: load it now, not within a thread
from numba import njit

from toolkit.kernels.compile import OPTIONS, compiled

_FOUR, _LINES, _PIECES, _PIECE = "f4[:, :, :, ::1]", "f4[:, ::1]", "i8[:, ::1]", "i8[::1]"
_TURNED = np.array([15, 13, 14, 12, 7, 5, 6, 4, 11, 9, 10, 8, 3, 1, 2, 0])
"""Positions of a kernel's transform within that of the same kernel rotated by 180 degrees."""


class Kernels(NamedTuple):
    """The compiled functions.

    Arrays are C-contiguous float32: images ``x`` [N, C, H, W], outputs and their gradients ``y`` [N, K, OH, OW], and
    ``weight`` [K, C, 3, 3]. Transformed they are 16 lines, each a matrix: kernels ``u`` [K, C], tiles ``v`` [C, T] and
    ``m`` [K, T]; ``line`` gives the length of a line. A piece (int64 [4]) holds the first and last image, and the first
    and last row of their tiles; the last ones are exclusive. The first of ``pieces`` [P, 4] is the largest. ``start``
    and ``stop`` delimit the work of one thread.

    Attributes:
        transform_kernel: ``(weight, u, start, stop)`` writes ``u`` for outputs ``start`` to ``stop``.
        correlate: ``(x, u, y, padding, turned, pieces, start, stop)`` writes ``y`` for some pieces; ``turned``: as the
            gradient of the input, with kernels rotated by 180 degrees and ``u`` [C, K].
        transform_tiles: ``(x, y, v, m, padding, piece, start, stop)`` writes ``v`` and ``m`` of one piece, for some of
            C + K channels.
        multiply_tiles: ``(v, m, u, inputs, outputs, tiles, start, stop)`` adds a piece's share to the gradient of
            ``u``, for a range of the 16 products.
        gradient_of_kernel: ``(u, weight, start, stop)`` converts it to that of ``weight`` for a range of outputs.
        line: Length of a line that holds a given number of elements.
    """

    transform_kernel: Callable[..., None]
    correlate: Callable[..., None]
    transform_tiles: Callable[..., None]
    multiply_tiles: Callable[..., None]
    gradient_of_kernel: Callable[..., None]
    line: Callable[[int], int]


@cache
def kernels() -> Kernels:
    """Compile the kernels, or load code compiled earlier on this machine."""
    return Kernels(
        compiled(f"void({_FOUR}, {_LINES}, i8, i8)", _transform_kernel),
        compiled(f"void({_FOUR}, {_LINES}, {_FOUR}, i8, b1, {_PIECES}, i8, i8)", _correlate),
        compiled(f"void({_FOUR}, {_FOUR}, {_LINES}, {_LINES}, i8, {_PIECE}, i8, i8)", _transform_tiles),
        compiled(f"void({_LINES}, {_LINES}, {_LINES}, i8, i8, i8, i8, i8)", _multiply_tiles),
        compiled(f"void({_LINES}, {_FOUR}, i8, i8)", _gradient_of_kernel),
        _line,
    )


def _transform_kernel(weight: Any, u: Any, start: int, stop: int) -> None:
    for k in range(start, stop):
        for c in range(weight.shape[1]):
            w, at = weight[k, c], k * weight.shape[1] + c
            one = _of_kernel(w[0, 0], w[1, 0], w[2, 0])
            two = _of_kernel(w[0, 1], w[1, 1], w[2, 1])
            three = _of_kernel(w[0, 2], w[1, 2], w[2, 2])
            for i in range(4):
                row = _of_kernel(one[i], two[i], three[i])
                for j in range(4):
                    u[4 * i + j, at] = row[j]


def _gradient_of_kernel(u: Any, weight: Any, start: int, stop: int) -> None:
    for k in range(start, stop):
        for c in range(weight.shape[1]):
            at = k * weight.shape[1] + c
            one = _to_kernel(u[0, at], u[4, at], u[8, at], u[12, at])
            two = _to_kernel(u[1, at], u[5, at], u[9, at], u[13, at])
            three = _to_kernel(u[2, at], u[6, at], u[10, at], u[14, at])
            four = _to_kernel(u[3, at], u[7, at], u[11, at], u[15, at])
            for i in range(3):
                row = _to_kernel(one[i], two[i], three[i], four[i])
                for j in range(3):
                    weight[k, c, i, j] = row[j]


def _correlate(x: Any, u: Any, y: Any, padding: int, turned: bool, pieces: Any, start: int, stop: int) -> None:
    inputs, outputs, width = x.shape[1], y.shape[1], (y.shape[3] + 1) // 2
    most = (pieces[0, 1] - pieces[0, 0]) * (pieces[0, 3] - pieces[0, 2]) * width
    v, m = np.empty((16, _line(inputs * most)), np.float32), np.empty((16, _line(outputs * most)), np.float32)
    for p in range(start, stop):
        first, last, top, bottom = pieces[p]
        tiles = (last - first) * (bottom - top) * width
        _transform_input(x[first:last], v, padding, top, bottom, width, 0, inputs)
        for i in range(16):
            of_inputs, of_outputs = _matrix(v[i], inputs, tiles), _matrix(m[i], outputs, tiles)
            if turned:
                np.dot(_matrix(u[_TURNED[i]], inputs, outputs).T, of_inputs, of_outputs)
            else:
                np.dot(_matrix(u[i], outputs, inputs), of_inputs, of_outputs)
        _transform_output(m, y[first:last], top, bottom, width)


def _transform_tiles(x: Any, y: Any, v: Any, m: Any, padding: int, piece: Any, start: int, stop: int) -> None:
    first, last, top, bottom = piece
    inputs, width = x.shape[1], (y.shape[3] + 1) // 2
    if start < inputs:
        _transform_input(x[first:last], v, padding, top, bottom, width, start, min(stop, inputs))
    if stop > inputs:
        _transform_gradient(y[first:last], m, top, bottom, width, max(start - inputs, 0), stop - inputs)


def _multiply_tiles(v: Any, m: Any, u: Any, inputs: int, outputs: int, tiles: int, start: int, stop: int) -> None:
    share = np.empty((outputs, inputs), np.float32)
    for i in range(start, stop):
        np.dot(_matrix(m[i], outputs, tiles), _matrix(v[i], inputs, tiles).T, share)
        total = _matrix(u[i], outputs, inputs)
        total += share


@njit(**OPTIONS)
def _line(numbers: int) -> int:
    """Length of a line that holds ``numbers`` elements.

    The same positions in the 16 lines must map to different sets of the processor's cache: a multiple of 4096 bytes
    apart, all would compete for the same set.
    """
    return -(-numbers // 1024) * 1024 + 80


@njit(**OPTIONS)
def _matrix(line: Any, rows: int, columns: int) -> Any:
    return line[: rows * columns].reshape((rows, columns))


@njit(**OPTIONS)
def _place(window: Any, image: Any, top: int, left: int) -> None:
    """Copy an image's rows from ``top`` on, zeroing rows outside it; columns outside it are zero already."""
    for i in range(window.shape[0]):
        if 0 <= top + i < image.shape[0]:
            window[i, left : left + image.shape[1]] = image[top + i]
        else:
            window[i] = 0


@njit(**OPTIONS)
def _of_inputs(first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """B^T d."""
    return first - third, second + third, third - second, second - fourth


@njit(**OPTIONS)
def _of_outputs(first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """A^T m."""
    return first + second + third, second - third - fourth


@njit(**OPTIONS)
def _of_gradients(first: Any, second: Any) -> Any:
    """A y."""
    return first, first + second, first - second, -second


@njit(**OPTIONS)
def _of_kernel(first: Any, second: Any, third: Any) -> Any:
    """G w."""
    half = np.float32(0.5)
    return first, half * (first + second + third), half * (first - second + third), third


@njit(**OPTIONS)
def _to_kernel(first: Any, second: Any, third: Any, fourth: Any) -> Any:
    """G^T u."""
    half = np.float32(0.5)
    return first + half * (second + third), half * (second - third), half * (second + third) + fourth


@njit(**OPTIONS)
def _transform_input(x: Any, v: Any, padding: int, top: int, bottom: int, width: int, start: int, stop: int) -> None:
    """Channels ``start`` to ``stop`` of ``v`` from the tiles of a range of rows: B^T d B."""
    rows = bottom - top
    window = np.zeros((2 * rows + 2, 2 * width + 2), np.float32)
    for n in range(x.shape[0]):
        for c in range(start, stop):
            _place(window, x[n, c], 2 * top - padding, padding)
            for row in range(rows):
                at = ((c * x.shape[0] + n) * rows + row) * width
                first, second = window[2 * row], window[2 * row + 1]
                third, fourth = window[2 * row + 2], window[2 * row + 3]
                for t in range(width):
                    q = 2 * t
                    one = _of_inputs(first[q], second[q], third[q], fourth[q])
                    two = _of_inputs(first[q + 1], second[q + 1], third[q + 1], fourth[q + 1])
                    three = _of_inputs(first[q + 2], second[q + 2], third[q + 2], fourth[q + 2])
                    four = _of_inputs(first[q + 3], second[q + 3], third[q + 3], fourth[q + 3])
                    for i in range(4):
                        transformed = _of_inputs(one[i], two[i], three[i], four[i])
                        for j in range(4):
                            v[4 * i + j, at + t] = transformed[j]


@njit(**OPTIONS)
def _transform_output(m: Any, y: Any, top: int, bottom: int, width: int) -> None:
    """A range of output rows from their tiles: A^T m A."""
    rows, height, columns = bottom - top, y.shape[2], y.shape[3]
    nowhere = np.empty(columns, np.float32)
    for n in range(y.shape[0]):
        for k in range(y.shape[1]):
            for row in range(rows):
                at, i = ((k * y.shape[0] + n) * rows + row) * width, 2 * (top + row)
                upper, lower = y[n, k, i], (y[n, k, i + 1] if i + 1 < height else nowhere)
                for t in range(width):
                    p = at + t
                    one = _of_outputs(m[0, p], m[4, p], m[8, p], m[12, p])
                    two = _of_outputs(m[1, p], m[5, p], m[9, p], m[13, p])
                    three = _of_outputs(m[2, p], m[6, p], m[10, p], m[14, p])
                    four = _of_outputs(m[3, p], m[7, p], m[11, p], m[15, p])
                    above = _of_outputs(one[0], two[0], three[0], four[0])
                    below = _of_outputs(one[1], two[1], three[1], four[1])
                    upper[2 * t], lower[2 * t] = above[0], below[0]
                    if 2 * t + 1 < columns:
                        upper[2 * t + 1], lower[2 * t + 1] = above[1], below[1]


@njit(**OPTIONS)
def _transform_gradient(y: Any, m: Any, top: int, bottom: int, width: int, start: int, stop: int) -> None:
    """Channels ``start`` to ``stop`` of ``m`` from the gradients of a range of output rows: A y A^T."""
    rows = bottom - top
    window = np.zeros((2 * rows, 2 * width), np.float32)
    for n in range(y.shape[0]):
        for k in range(start, stop):
            _place(window, y[n, k], 2 * top, 0)
            for row in range(rows):
                upper, lower = window[2 * row], window[2 * row + 1]
                at = ((k * y.shape[0] + n) * rows + row) * width
                for t in range(width):
                    one, two = (
                        _of_gradients(upper[2 * t], lower[2 * t]),
                        _of_gradients(upper[2 * t + 1], lower[2 * t + 1]),
                    )
                    for i in range(4):
                        transformed = _of_gradients(one[i], two[i])
                        for j in range(4):
                            m[4 * i + j, at + t] = transformed[j]
