"""Operations between sublayers: the functions that a row's steps may name.

The first argument is the previous step's output; the others are the sublayers or parameters that follow the function's
name in the step. A function that only moves data preserves the original's numbers bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isqrt

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn


def _add(x: Tensor, parameter: Tensor) -> Tensor:
    return x + parameter


def _class_token(x: Tensor) -> Tensor:
    """The first token: [N, L, C] -> [N, C]; features [N, D] are returned unchanged."""
    return x[:, 0] if x.ndim == 3 else x


def _dual_path(x: Tensor, block: nn.Layer) -> Tensor:
    """A DPN block, whose two paths [N, C1, H, W] and [N, C2, H, W] are concatenated between stages."""
    parts = x if block.has_proj else paddle.split(x, [block.num_1x1_c, x.shape[1] - block.num_1x1_c], axis=1)
    return paddle.concat(block(parts), axis=1)


def _flatten(x: Tensor) -> Tensor:
    return paddle.flatten(x, 1)


def _gray(x: Tensor) -> Tensor:
    """Colour to luma (ITU-R BT.601): [N, 3, H, W] -> [N, 1, H, W]; gray images are returned unchanged."""
    if x.shape[1] == 1:
        return x
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def _grid(x: Tensor, layer: nn.Layer) -> Tensor:
    """Call a layer that takes tokens [N, H * W, C], row by row of a square image, and (H, W)."""
    side = isqrt(x.shape[1])
    return layer(x, (side, side))


def _half_grid(x: Tensor, layer: nn.Layer) -> Tensor:
    """As ``:grid``, for a layer that halves H and W. Sets the number of tokens, for graphs with any batch size."""
    half = (isqrt(x.shape[1]) + 1) // 2
    x = _grid(x, layer)
    return paddle.reshape(x, [-1, half * half, x.shape[2]])


def _mean_map(x: Tensor) -> Tensor:
    return x.mean([-2, -1])


def _mean_of_heads(x: Tensor, head: nn.Layer, head_dist: nn.Layer) -> Tensor:
    """A distilled transformer: the mean of the heads of the class token and of the distillation token."""
    return (head(x[:, 0]) + head_dist(x[:, 1])) / 2


def _pool(x: Tensor) -> Tensor:
    """Average over height and width if present: [N, C, H, W] -> [N, C]; [N, D] is returned unchanged."""
    return paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1) if x.ndim == 4 else x


def _prepend(x: Tensor, *tokens: Tensor) -> Tensor:
    """Prepend learned tokens [1, 1, C], shared by all images, to the tokens [N, L, C]."""
    return paddle.concat((*(token.expand((x.shape[0], -1, -1)) for token in tokens), x), axis=1)


def _shortcut(x: Tensor, block: nn.Layer) -> Tensor:
    return block(x, ifshortcut=True)


def _no_shortcut(x: Tensor, block: nn.Layer) -> Tensor:
    return block(x, ifshortcut=False)


def _squeeze(x: Tensor) -> Tensor:
    return paddle.squeeze(x, axis=[2, 3])


def _tokens(x: Tensor, layer: nn.Layer) -> Tensor:
    """Call a layer that returns tokens [N, L, C] and their grid (H, W); drops the grid, which is square."""
    return layer(x)[0]


def _token_map(x: Tensor) -> Tensor:
    """Tokens of a square image as a map: [N, H * W, C] -> [N, C, H, W]; features [N, D] are returned unchanged."""
    if x.ndim != 3:
        return x
    side = isqrt(x.shape[1])
    return paddle.reshape(_transpose(x), [-1, x.shape[2], side, side])


def _transpose(x: Tensor) -> Tensor:
    """[N, L, C] -> [N, C, L]."""
    return x.transpose([0, 2, 1])


FUNCTIONS: Mapping[str, Callable[..., Tensor]] = {
    ":add": _add,
    ":class_token": _class_token,
    ":dual_path": _dual_path,
    ":flatten": _flatten,
    ":gray": _gray,
    ":grid": _grid,
    ":half_grid": _half_grid,
    ":mean_map": _mean_map,
    ":mean_of_heads": _mean_of_heads,
    ":no_shortcut": _no_shortcut,
    ":pool": _pool,
    ":prepend": _prepend,
    ":relu": F.relu,
    ":shortcut": _shortcut,
    ":squeeze": _squeeze,
    ":swish": F.swish,
    ":token_map": _token_map,
    ":tokens": _tokens,
    ":transpose": _transpose,
}
