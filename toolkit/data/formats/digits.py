"""Format ``digits``: the 1797 handwritten digits of 8 x 8 pixels included in scikit-learn; no download needed."""

from __future__ import annotations

import numpy as np

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data.images import ArrayImages
from toolkit.data.source import Source

_BRIGHTEST = 16


def read_digits(config: DataConfig) -> Source:
    """Read scikit-learn's digits (UCI "Optical Recognition of Handwritten Digits", test part), without a split.

    Args:
        config: Not used, but part of the reader signature.

    Returns:
        All images as ``train``, with gray levels 0..16 scaled to 0..255; classes ``"0"`` to ``"9"``.

    Raises:
        DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("data.format digits needs scikit-learn", hint="pip install scikit-learn") from error
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / _BRIGHTEST)).astype(np.uint8)
    classes = tuple(str(name) for name in digits.target_names)
    return Source(classes, {"train": ArrayImages(pixels, digits.target, "digits")})


def read_digits_as_numbers(config: DataConfig) -> Source:
    """Read the same images for regression: the only target, ``digit``, is the digit as a number.

    Args:
        config: Not used, but part of the reader signature.

    Returns:
        All images as ``train``.

    Raises:
        DataError: scikit-learn is not installed.
    """
    images = read_digits(config).splits["train"]
    numbers = images.labels[:, None].astype(np.float32)
    return Source(("digit",), {"train": images.take(np.arange(len(images)), numbers)})
