"""Depthwise convolutions of single maps ("planes"), compiled by numba.

Each plane is copied with its padding into phases: rows and columns with the same remainder modulo the stride. There, a
tap of the kernel is a plain offset, so a convolution becomes a few long loops over adjacent numbers, which compilers
vectorise well even for small maps. The copy stays in the processor's cache. Planes are computed independently, so
results do not depend on how threads share them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from toolkit.kernels.compile import OPTIONS, compiled

_ARRAY = "f4[:, :, ::1]"
_SIGNATURE = f"void({_ARRAY}, {_ARRAY}, {_ARRAY}, i8, i8, i8)"

Kernel = Callable[[Any, Any, Any, int, int, int], None]


class Kernels(NamedTuple):
    """Compiled functions for one kernel size and stride.

    All arrays are C-contiguous float32: ``x`` and ``dx`` [N * C, H, W], ``weight`` [C, K, K], ``out`` and ``dy``
    [N * C, OH, OW]. Each call computes planes ``start`` to ``stop`` and releases the GIL.

    Attributes:
        forward: ``(x, weight, out, padding, start, stop)`` writes ``out``.
        dweight: ``(x, dy, dweight, padding, start, stop)`` writes ``dweight`` [N * C, K, K], separately for each plane.
        dinput: ``(dy, weight, dx, padding, start, stop)`` writes ``dx``.
    """

    forward: Kernel
    dweight: Kernel
    dinput: Kernel


@njit(**OPTIONS)
def _copy_rows(flat: Any, image: Any, width: int, to_flat: bool) -> None:
    """Copy an image's rows from, or to, rows of the given width in a flat array."""
    for y in range(image.shape[0]):
        line, row = flat[y * width :], image[y]
        if to_flat:
            for q in range(image.shape[1]):
                line[q] = row[q]
        else:
            for q in range(image.shape[1]):
                row[q] = line[q]


@njit(**OPTIONS)
def _copy_plane(phases: Any, image: Any, padding: int, width: int, to_phases: bool) -> None:
    """Copy a plane from, or to, its phases: one at stride 1, four at stride 2."""
    if phases.shape[0] == 1:
        _copy_rows(phases[0, 0, padding * width + padding :], image, width, to_phases)
        return
    columns = image.shape[1]
    for y in range(image.shape[0]):
        rows, at, row = phases[(y + padding) % 2], (y + padding) // 2 * width, image[y]
        even, odd = rows[padding % 2, at + padding // 2 :], rows[(padding + 1) % 2, at + (padding + 1) // 2 :]
        if to_phases:
            for q in range(columns // 2):
                even[q] = row[2 * q]
                odd[q] = row[2 * q + 1]
            if columns % 2:
                even[columns // 2] = row[columns - 1]
        else:
            for q in range(columns // 2):
                row[2 * q] = even[q]
                row[2 * q + 1] = odd[q]
            if columns % 2:
                row[columns - 1] = even[columns // 2]


def _make_forward(size: int, stride: int) -> Kernel:
    def forward(x: Any, weight: Any, out: Any, padding: int, start: int, stop: int) -> None:
        height = (x.shape[1] + 2 * padding + stride - 1) // stride
        width = (x.shape[2] + 2 * padding + stride - 1) // stride
        length = (out.shape[1] - 1) * width + out.shape[2]
        phases = np.zeros((stride, stride, height * width), np.float32)
        flat = np.empty(out.shape[1] * width, np.float32)
        for plane in range(start, stop):
            _copy_plane(phases, x[plane], padding, width, True)
            taps = weight[plane % weight.shape[0]]
            for i in range(size):
                rows = phases[i % stride, :, i // stride * width :]
                for t in range(length):
                    total = np.float32(0) if i == 0 else flat[t]
                    for j in range(size):
                        total += taps[i, j] * rows[j % stride, t + j // stride]
                    flat[t] = total
            _copy_rows(flat, out[plane], width, False)

    return forward


def _make_dweight(size: int, stride: int) -> Kernel:
    def dweight(x: Any, dy: Any, dweight_out: Any, padding: int, start: int, stop: int) -> None:
        height = (x.shape[1] + 2 * padding + stride - 1) // stride
        width = (x.shape[2] + 2 * padding + stride - 1) // stride
        length = (dy.shape[1] - 1) * width + dy.shape[2]
        phases = np.zeros((stride, stride, height * width), np.float32)
        gradient = np.zeros(dy.shape[1] * width, np.float32)
        for plane in range(start, stop):
            _copy_plane(phases, x[plane], padding, width, True)
            _copy_rows(gradient, dy[plane], width, True)
            sums = dweight_out[plane]
            for i in range(size):
                rows = phases[i % stride, :, i // stride * width :]
                for j in range(0, size, 3):  # three sums at a time: each gradient is read once for all three
                    a, b, c = np.float32(0), np.float32(0), np.float32(0)
                    for t in range(length):
                        a += gradient[t] * rows[j % stride, t + j // stride]
                        if j + 1 < size:
                            b += gradient[t] * rows[(j + 1) % stride, t + (j + 1) // stride]
                        if j + 2 < size:
                            c += gradient[t] * rows[(j + 2) % stride, t + (j + 2) // stride]
                    sums[i, j] = a
                    if j + 1 < size:
                        sums[i, j + 1] = b
                    if j + 2 < size:
                        sums[i, j + 2] = c

    return dweight


def _make_dinput(size: int, stride: int) -> Kernel:
    reach = (size - 1) // stride

    def dinput(dy: Any, weight: Any, dx: Any, padding: int, start: int, stop: int) -> None:
        height = (dx.shape[1] + 2 * padding + stride - 1) // stride
        width = (dx.shape[2] + 2 * padding + stride - 1) // stride
        margin = reach * width + reach  # zeros before the gradients and after each row
        phases = np.zeros((stride, stride, height * width), np.float32)
        gradient = np.zeros(margin + height * width, np.float32)
        for plane in range(start, stop):
            _copy_rows(gradient[margin:], dy[plane], width, True)
            taps = weight[plane % weight.shape[0]]
            for i in range(size):
                before = gradient[margin - i // stride * width - reach :]
                for column in range(stride):
                    target = phases[i % stride, column]
                    for t in range(height * width):
                        total = np.float32(0) if i < stride else target[t]
                        for j in range(column, size, stride):
                            total += taps[i, j] * before[t + reach - j // stride]
                        target[t] = total
            _copy_plane(phases, dx[plane], padding, width, False)

    return dinput


@cache
def kernels_of(size: int, stride: int) -> Kernels:
    """Compile the kernels for one size and stride, or load code compiled earlier on this machine.

    Args:
        size: Rows and columns of the kernel, at least ``stride``.
        stride: 1 or 2.
    """
    makers = (_make_forward, _make_dweight, _make_dinput)
    return Kernels(*(compiled(_SIGNATURE, make(size, stride)) for make in makers))
