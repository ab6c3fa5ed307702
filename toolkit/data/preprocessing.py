"""What every picture goes through before a network sees it: resize, centre crop, normalise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.decode import Pixels

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Preprocessing", "resize"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize(image: Pixels, height: int, width: int) -> Pixels:
    """Resize a picture: halved by area as often as it can be, so that nothing aliases, then bilinear.

    (Area averaging by any factor looks the same, to 0.4 gray levels on photographs, and takes 7 times as long.)

    Args:
        image: RGB uint8 ``[H, W, 3]``.
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        RGB uint8 ``[height, width, 3]``; the picture itself when it has that size.
    """
    while image.shape[0] >= 2 * height or image.shape[1] >= 2 * width:
        down, across = (2 if have >= 2 * want else 1 for have, want in zip(image.shape, (height, width), strict=False))
        rows, columns = image.shape[0] // down, image.shape[1] // across
        even = image[: rows * down, : columns * across]
        image = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


@dataclass(frozen=True)
class Preprocessing:
    """The deterministic way from a picture to a network's input, the same in training, evaluation and serving.

    The short side is resized to ``round(image_size / crop_ratio)``, the centre square of ``image_size`` is cut out, and
    each channel becomes ``(x / 255 - mean) / std``. (Only the central square of the picture is resized: the same
    pixels to within half a source pixel, at less cost, and a very long picture cannot exhaust the memory.)

    Attributes:
        image_size: Side of the square input, pixels.
        crop_ratio: Centre crop as a fraction of the resized short side, in (0, 1].
        mean: Mean per RGB channel, for pixels in [0, 1].
        std: Standard deviation per RGB channel, for pixels in [0, 1].
    """

    image_size: int
    crop_ratio: float = 0.875
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    @cached_property
    def _tables(self) -> npt.NDArray[np.float32]:
        """One row of 256 normalised values a channel, float32 ``[3, 256, 1]``."""
        levels = np.arange(256) / 255
        rows = [(levels - mean) / std for mean, std in zip(self.mean, self.std, strict=True)]
        return np.asarray(rows, np.float32)[:, :, None]

    @property
    def resize_to(self) -> int:
        """Length of the short side after resizing, pixels."""
        return max(self.image_size, round(self.image_size / self.crop_ratio))

    def geometry(self, image: Pixels) -> Pixels:
        """Resize and centre crop.

        Args:
            image: RGB uint8 ``[H, W, 3]`` of any size.

        Returns:
            RGB uint8 ``[image_size, image_size, 3]``.
        """
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = resize(image[top : top + side, left : left + side], self.resize_to, self.resize_to)
        margin = (self.resize_to - self.image_size) // 2
        return square[margin : margin + self.image_size, margin : margin + self.image_size]

    def normalise(self, image: Pixels, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Normalise with a look-up table a channel.

        Args:
            image: RGB uint8 ``[H, W, 3]``.
            out: Where to write, float32 ``[3, H, W]``, contiguous; by default a new array.

        Returns:
            float32 ``[3, H, W]``.
        """
        if out is None:
            out = np.empty((3, *image.shape[:2]), np.float32)
        for channel, plane in enumerate(cv2.split(image)):
            cv2.LUT(plane, self._tables[channel], dst=out[channel])
        return out

    def apply(self, image: Pixels) -> npt.NDArray[np.float32]:
        """Geometry and normalisation.

        Args:
            image: RGB uint8 ``[H, W, 3]`` of any size.

        Returns:
            float32 ``[3, image_size, image_size]``.
        """
        return self.normalise(self.geometry(image))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a YAML file."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """The inverse of ``to_dict``."""
        red, green, blue = values["mean"]
        red_std, green_std, blue_std = values["std"]
        return cls(
            image_size=int(values["image_size"]),
            crop_ratio=float(values["crop_ratio"]),
            mean=(float(red), float(green), float(blue)),
            std=(float(red_std), float(green_std), float(blue_std)),
        )
