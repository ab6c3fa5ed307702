"""The preprocessing of every image before the network: resize, centre crop, normalise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.config import DataConfig
from toolkit.core.errors import ConfigError
from toolkit.data.bit_depth import DEFAULT, Decoding
from toolkit.data.channels import Pixels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def resize(image: Pixels, height: int, width: int) -> Pixels:
    """Resize an image: halve it by area as often as possible to avoid aliasing, then interpolate bilinearly.

    Area averaging by any factor gives the same result, to within 0.4 gray levels on photographs, but takes 7 times as
    long.

    Args:
        image: uint8 ``[H, W, C]``; OpenCV resizes any number of channels.
        height: New height in pixels.
        width: New width in pixels.

    Returns:
        uint8 ``[height, width, C]``; the image itself if it already has that size.
    """
    channels = image.shape[2]
    while image.shape[0] >= 2 * height or image.shape[1] >= 2 * width:
        down, across = (2 if have >= 2 * want else 1 for have, want in zip(image.shape, (height, width), strict=False))
        rows, columns = image.shape[0] // down, image.shape[1] // across
        even = image[: rows * down, : columns * across]
        halved = np.asarray(cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA), np.uint8)
        image = halved.reshape(rows, columns, channels)  # OpenCV drops the axis of a single channel
    if image.shape[:2] == (height, width):
        return image
    resized = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return resized.reshape(height, width, channels)


def normalisation(
    config: DataConfig, mean: Sequence[float], std: Sequence[float], channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel for training a network.

    ``data.mean`` and ``data.std`` take precedence. Otherwise a network keeps the values of its pretraining, if the
    number of channels matches; gray images get their average over red, green and blue; and any other number of channels
    repeats them in turn (R, G, B, R, ...), just as the filters of an adapted first convolution are repeated.

    Args:
        config: ``mean`` and ``std`` are used.
        mean: Pretraining means, in [0, 1], one per channel.
        std: Pretraining standard deviations, in (0, 1], one per channel.
        channels: Channels of the images, >= 1.

    Returns:
        Mean and standard deviation, ``channels`` values each.

    Raises:
        ConfigError: ``data.mean`` or ``data.std`` has the wrong length.

    Example:
        >>> normalisation(DataConfig(std=(0.5,)), (0.25, 0.5, 0.75), (0.2, 0.2, 0.2), 1)
        ((0.5,), (0.5,))
    """
    return (
        _for_channels("mean", config.mean, mean, channels),
        _for_channels("std", config.std, std, channels),
    )


def _for_channels(key: str, own: Sequence[float] | None, known: Sequence[float], channels: int) -> tuple[float, ...]:
    if own is None:
        if channels == 1:
            return (float(np.mean(known)),)
        return tuple(float(known[channel % len(known)]) for channel in range(channels))
    if len(own) != channels:
        raise ConfigError(
            f"data.{key} has {len(own)} number(s), but the images have {channels} channel(s)",
            hint=f"give data.{key} one number per channel; model.in_channels sets how many channels there are",
        )
    return tuple(own)


@dataclass(frozen=True)
class Preprocessing:
    """Deterministic preprocessing from an image to a network's input, the same in training, evaluation and serving.

    The short side is resized to ``round(image_size / crop_ratio)``, the central square of side ``image_size`` is
    cropped, and each channel becomes ``(x / 255 - mean) / std``. (Only the central square of the image is resized: this
    gives the same pixels to within half a source pixel, costs less, and a very long image cannot exhaust the memory.)

    Attributes:
        image_size: Side of the square input, pixels.
        crop_ratio: Centre crop as a fraction of the resized short side, in (0, 1].
        mean: Mean of each channel, for pixels in [0, 1]; its length is the number of channels.
        std: Standard deviation of each channel, for pixels in [0, 1].
        decoding: How files of more than 8 bits, and transparency, become 8-bit pixels.
    """

    image_size: int
    crop_ratio: float = 0.875
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    decoding: Decoding = DEFAULT

    def __post_init__(self) -> None:
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"mean and std need one number per channel, not {len(self.mean)} and {len(self.std)}")

    @property
    def channels(self) -> int:
        """Number of channels of the images."""
        return len(self.mean)

    @cached_property
    def _tables(self) -> npt.NDArray[np.float32]:
        """256 normalised values per channel, float32 ``[C, 256, 1]``."""
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
            image: uint8 ``[H, W, C]`` of any size.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = resize(image[top : top + side, left : left + side], self.resize_to, self.resize_to)
        margin = (self.resize_to - self.image_size) // 2
        return square[margin : margin + self.image_size, margin : margin + self.image_size]

    def normalise(self, image: Pixels, out: npt.NDArray[np.float32] | None = None) -> npt.NDArray[np.float32]:
        """Normalise with one look-up table per channel.

        Args:
            image: uint8 ``[H, W, C]`` with as many channels as ``mean`` has.
            out: Contiguous output array, float32 ``[C, H, W]``; by default a new one.

        Returns:
            float32 ``[C, H, W]``.

        Raises:
            ValueError: The number of channels is wrong.
        """
        if image.shape[2:] != (self.channels,):
            raise ValueError(f"expected pixels [H, W, {self.channels}], not {list(image.shape)}")
        if out is None:
            out = np.empty((self.channels, *image.shape[:2]), np.float32)
        planes = [
            np.empty(image.shape[:2], np.uint8) for _ in range(self.channels)
        ]  # OpenCV would allocate and copy its own
        for channel, plane in enumerate(cv2.split(image, planes)):
            cv2.LUT(plane, self._tables[channel], dst=out[channel])
        return out

    def apply(self, image: Pixels) -> npt.NDArray[np.float32]:
        """Apply geometry and normalisation.

        Args:
            image: uint8 ``[H, W, C]`` of any size.

        Returns:
            float32 ``[C, image_size, image_size]``.
        """
        return self.normalise(self.geometry(image))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a YAML file."""
        return {
            "image_size": self.image_size,
            "crop_ratio": self.crop_ratio,
            "mean": list(self.mean),
            "std": list(self.std),
            **self.decoding.to_dict(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Invert ``to_dict``; without ``alpha``, decode like older versions (see ``Decoding.from_dict``)."""
        return cls(
            image_size=int(values["image_size"]),
            crop_ratio=float(values["crop_ratio"]),
            mean=tuple(map(float, values["mean"])),
            std=tuple(map(float, values["std"])),
            decoding=Decoding.from_dict(values),
        )
