"""Thumbnails for a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from toolkit.core.errors import DataError
from toolkit.data import ImageSet, as_rgb
from toolkit.data.channels import Pixels
from toolkit.data.pool import read_one
from toolkit.pages.figures import EmbeddedImage, data_uri

_SIDE = 224
"""Longest side in pixels."""
_TINY = 64
"""Images up to this size are stored losslessly and shown with visible pixels."""


def thumbnail(images: ImageSet, index: int) -> EmbeddedImage | None:
    """Return an uncropped image of a set, at most 224 pixels long; None if it can no longer be read.

    ``as_rgb`` converts images that are neither gray nor RGB.

    Raises:
        DataError: The file system does not respond.
    """
    pixels = read_one(lambda: _pixels(images, index), images.path(index))
    if pixels is None:
        return None
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    tiny = max(height, width) <= _TINY
    suffix, kind = (".png", "image/png") if tiny else (".jpg", "image/jpeg")
    done, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
    return EmbeddedImage(data_uri(kind, data.tobytes()), images.path(index), tiny) if done else None


def _pixels(images: ImageSet, index: int) -> Pixels | None:
    try:
        return as_rgb(images.read(index))
    except DataError:
        return None


def shown_image(images: ImageSet, index: int) -> dict[str, Any]:
    """Return what a page needs to show an image: ``picture`` (see ``thumbnail``), ``path``, and file ``name``."""
    path = images.path(index)
    return {"picture": thumbnail(images, index), "path": path, "name": Path(path).name}
