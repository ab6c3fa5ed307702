"""Conversions between numbers of channels.

Images are uint8 ``[height, width, channels]``: 1 channel is gray, 3 are red, green, blue; 2 or more than 3 are the
channels of the file, in its order (for a PNG, 4 are red, green, blue, alpha).
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An image: uint8, ``[height, width, channels]``; three channels are RGB."""

GRAY, RGB = 1, 3


def fit_channels(pixels: Pixels, channels: int) -> Pixels:
    """Convert an image to another number of channels, if that makes sense.

    Gray is repeated to give RGB; RGB becomes gray by its luma (ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B, as in OpenCV)

    Args:
        pixels: uint8 ``[H, W]`` (gray) or ``[H, W, C]``.
        channels: Requested number of channels, >= 1.

    Returns:
        uint8 ``[H, W, channels]``; a view of ``pixels`` if nothing changes.

    Raises:
        ValueError: The image has an incompatible number of channels; the message is short.
    """
    have = 1 if pixels.ndim == 2 else pixels.shape[2]
    if have == channels:
        return pixels if pixels.ndim == 3 else pixels[:, :, None]
    if (have, channels) == (GRAY, RGB):
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
    if (have, channels) == (RGB, GRAY):
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[:, :, None]
    raise ValueError(f"{counted(have)}, expected {channels}")


def counted(channels: int) -> str:
    """Return ``1 channel``, ``4 channels``, and so on."""
    return f"{channels} channel{'' if channels == 1 else 's'}"


def as_rgb(pixels: Pixels) -> Pixels:
    """Make an image viewable: gray is repeated, and of more than three channels the first three are shown.

    Args:
        pixels: uint8 ``[H, W, C]``.

    Returns:
        RGB uint8 ``[H, W, 3]``; for two channels, the first one as gray.
    """
    if pixels.shape[2] < RGB:
        return fit_channels(np.ascontiguousarray(pixels[:, :, :1]), RGB)
    return np.ascontiguousarray(pixels[:, :, :RGB])
