"""A fixed set of corruptions of evaluation images, to measure what a network loses when images change.

After Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations"
(arXiv:1903.12261; parameters from the code of ImageNet-C): seven corruptions in five severities each. They act on the
image as the network sees it, after resize and crop and before normalisation, so a severity does not depend on the size
of the file; blur is given in pixels of an input of 224 and scaled with the input. What is random in a corruption
depends only on its row in ``CORRUPTIONS`` and on the position of the image in its set: it is the same for all networks,
severities, batches and threads. New rows go to the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from toolkit.core.random import Stream, generator
from toolkit.data.channels import RGB, Pixels

SEVERITIES = (1, 2, 3, 4, 5)
USUAL_SEVERITIES = (1, 3, 5)
"""Severities that are measured unless others are asked for."""
_REFERENCE = 224
"""Side in pixels of the inputs that the widths of blur are given for."""
_LEVELS = 255


@dataclass(frozen=True)
class Corruption:
    """One way to corrupt an image.

    Attributes:
        name: Key in results.
        title: Name in tables.
        parameter: Meaning of ``strengths``.
        strengths: The parameter at severities 1 to 5.
        change: Corrupts uint8 ``[S, S, C]``, given the parameter and a source of randomness.
    """

    name: str
    title: str
    parameter: str
    strengths: tuple[float, float, float, float, float]
    change: Callable[[Pixels, float, np.random.Generator], Pixels]


@dataclass(frozen=True)
class CorruptedView:
    """One corruption at one severity, for the images of a set.

    Attributes:
        corruption: The corruption.
        severity: 1 to 5.
    """

    corruption: Corruption
    severity: int

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(f"expected a severity of 1 to {SEVERITIES[-1]}, not {self.severity}")

    def __call__(self, image: Pixels, index: int) -> Pixels:
        """Corrupt one image.

        Args:
            image: uint8 ``[S, S, C]``, the network's input before normalisation, with any number of channels; not
                modified.
            index: Position of the image in its set, >= 0.

        Returns:
            uint8 ``[S, S, C]``.
        """
        rng = generator(Stream.CORRUPTION, CORRUPTIONS.index(self.corruption), index)
        return self.corruption.change(image, self.corruption.strengths[self.severity - 1], rng)


def _blur(image: Pixels, width: float, rng: np.random.Generator) -> Pixels:
    """Blur with a Gaussian of ``width`` pixels at an input of 224."""
    sigma = width * min(image.shape[:2]) / _REFERENCE
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8).reshape(image.shape)


def _noise(image: Pixels, deviation: float, rng: np.random.Generator) -> Pixels:
    """Add independent Gaussian noise to every pixel and channel."""
    return _rounded(image + np.float32(_LEVELS * deviation) * rng.standard_normal(image.shape, np.float32))


def _brightness(image: Pixels, change: float, rng: np.random.Generator) -> Pixels:
    """Add the same value to every pixel and channel."""
    return _rounded(image + np.float32(_LEVELS * change))


def _contrast(image: Pixels, share: float, rng: np.random.Generator) -> Pixels:
    """Move every pixel towards the mean of its channel, to a share of its distance."""
    mean = image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return _rounded(mean + np.float32(share) * (image - mean))


def _jpeg(image: Pixels, quality: float, rng: np.random.Generator) -> Pixels:
    """Compress and decode; images that are not RGB channel by channel, each as a gray image."""
    if image.shape[2] == RGB:
        return np.ascontiguousarray(_recompressed(np.ascontiguousarray(image[:, :, ::-1]), quality)[:, :, ::-1])
    channels = [_recompressed(np.ascontiguousarray(channel), quality) for channel in np.moveaxis(image, 2, 0)]
    return np.stack(channels, axis=2)


def _recompressed(image: Pixels, quality: float) -> Pixels:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)


def _crop(image: Pixels, side: float, rng: np.random.Generator) -> Pixels:
    """Enlarge the part of the image in one corner to the whole, where ``side`` is the part's share of the side."""
    size = image.shape[0]
    window = max(1, round(side * size))
    top, left = (size - window) * rng.integers(0, 2, 2)
    part = np.ascontiguousarray(image[top : top + window, left : left + window])
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8).reshape(image.shape)


def _rounded(values: np.ndarray) -> Pixels:
    return np.clip(np.rint(values), 0, _LEVELS).astype(np.uint8)


CORRUPTIONS = (
    Corruption("blur", "blur", "standard deviation in pixels, at an input of 224", (1, 2, 3, 4, 6), _blur),
    Corruption("noise", "noise", "standard deviation, of white", (0.08, 0.12, 0.18, 0.26, 0.38), _noise),
    Corruption("brighter", "brighter", "added, of white", (0.1, 0.2, 0.3, 0.4, 0.5), _brightness),
    Corruption("darker", "darker", "added, of white", (-0.1, -0.2, -0.3, -0.4, -0.5), _brightness),
    Corruption("contrast", "contrast", "share that is left", (0.4, 0.3, 0.2, 0.1, 0.05), _contrast),
    Corruption("jpeg", "JPEG", "quality", (25, 18, 15, 10, 7), _jpeg),
    Corruption("crop", "crop", "side of the part, of the image's", (0.9, 0.8, 0.7, 0.6, 0.5), _crop),
)
"""The set. ImageNet-C has no darker images and no crops, and brightens in HSV space; here all channels are equal, so
that gray images and bands are treated alike."""
