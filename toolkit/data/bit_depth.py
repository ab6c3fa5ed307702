"""Convert the values in a file to 8 bits and transparency to a background; both are decided only here.

Each file is handled on its own, so that training, prediction and any reader of ``inference.yml`` see the same pixels:

- 8-bit samples are kept.
- Integers >= 0 of more than 8 bits: the depth is the smallest of 8, 10, 12, 14, 16, 24 and 32 bits that holds both the
  largest value in the file and the largest value the file declares (TIFF ``MaxSampleValue``, ``SMaxSampleValue`` and
  ``BitsPerSample``; PNG ``sBIT`` if the values respect it; the maximum of a PGM or PPM). The upper 8 bits of that depth
  are kept: ``value >> (depth - 8)``.
- Integers, some of them negative: int8 spans -128 to 127; values >= -4096 are CT numbers (Hounsfield units), shown
  through the window -1024 to 3071; all others span the range of signed 16-bit or 32-bit integers.
- Floating point: 0 to 1 if all values lie within -0.1 to 1.1; -1 to 1 if all lie within -1.1 to 1.1; 0 to 255 if all
  lie within -25.5 to 280.5; otherwise like integers, by depth or CT window.
- A window from ``low`` to ``high`` becomes 0 to 255: ``round((x - low) * 255 / (high - low))``, clipped. NaN and
  -infinity are ``low``, +infinity is ``high``.
- Alpha, as 8 bits: ``round((colour * alpha + background * (255 - alpha)) / 255)`` with a white background.

``data.bit_depth``, ``data.window`` and ``data.alpha`` fix these for a whole data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
import numpy.typing as npt

from toolkit.config import DataConfig
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels

Alpha: TypeAlias = Literal["white", "black", "drop"]
DEPTHS = (8, 10, 12, 14, 16, 24, 32)
CT_WINDOW = (-1024, 3071)
"""Hounsfield units of a 12-bit CT."""
_LOWEST_CT = -4096  # pixels outside the scanner's circle are often -2000 or -3024
_SLACK = 0.1
"""Fraction of the range by which resampling may have overshot it."""
_BACKGROUNDS = {"white": 255, "black": 0}


@dataclass(frozen=True)
class Decoding:
    """Settings that fix the conversion from files to 8-bit pixels for a whole data set.

    Attributes:
        bit_depth: Bits, 8 to 32, of integers >= 0 in files of more than 8 bits; None: derived from each file's values.
        window: Values that become 0 and 255, for all files that are not 8-bit; None: derived from each file's values.
        alpha: Background for transparent images; ``drop`` ignores alpha.
    """

    bit_depth: int | None = None
    window: tuple[float, float] | None = None
    alpha: Alpha = "white"

    @classmethod
    def of(cls, config: DataConfig) -> Decoding:
        """Take the settings from a config."""
        return cls(config.bit_depth, config.window, config.alpha)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a YAML file."""
        return {**asdict(self), "window": None if self.window is None else list(self.window)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decoding:
        """Invert ``to_dict``.

        If ``alpha`` is missing, the values were written by a version without these rules, which kept the upper byte of
        16 bits and dropped alpha.

        Raises:
            ValueError: A value is invalid.
        """
        if "alpha" not in values:
            return cls(bit_depth=16, alpha="drop")
        depth, window, alpha = values.get("bit_depth"), values.get("window"), values["alpha"]
        if alpha not in get_args(Alpha):
            raise ValueError(f"alpha is {alpha!r}; expected {', '.join(get_args(Alpha))}")
        if depth is not None and not (isinstance(depth, int) and 8 <= depth <= 32):
            raise ValueError(f"bit_depth is {depth!r}; expected 8 to 32")
        if window is not None:
            low, high = map(float, window)
            if not (np.isfinite((low, high)).all() and low < high):
                raise ValueError(f"window is {window!r}; expected two numbers, the lower first")
            window = (low, high)
        return cls(depth, window, cast(Alpha, alpha))


DEFAULT = Decoding()
"""Nothing is fixed, and the background is white."""


@dataclass(frozen=True)
class RawImage:
    """An image as stored in its file, but upright.

    Attributes:
        values: ``[H, W]`` (gray) or ``[H, W, C]``; three channels are RGB.
        mode: Human-readable kind: ``RGB``, ``gray``, ``palette``, ...
        alpha: The last channel (of 2 or 4) is alpha.
        highest: Largest value declared by the file.
        inverted: 0 is white.
    """

    values: npt.NDArray[Any]
    mode: str
    alpha: bool = False
    highest: int = 0
    inverted: bool = False

    @property
    def is_deep(self) -> bool:
        """True if samples are not 8-bit."""
        return self.values.dtype not in (np.uint8, np.bool_)


@dataclass(frozen=True)
class Scale:
    """The values of a file that become 0 and 255.

    Attributes:
        low: Becomes 0.
        high: Becomes 255.
        depth: Number of bits, if the upper 8 of them are kept.
    """

    low: float
    high: float
    depth: int | None = None

    def __str__(self) -> str:
        return f"{self.depth}-bit" if self.depth else f"{self.low:g} to {self.high:g}"

    def apply(self, values: npt.NDArray[Any]) -> Pixels:
        """Return 8-bit pixels of the same shape."""
        if self.depth is not None and values.dtype.kind != "f":
            return np.asarray(np.clip(values, 0, 2**self.depth - 1) >> (self.depth - 8), np.uint8)
        numbers = np.nan_to_num(values.astype(np.float64), nan=self.low, posinf=self.high, neginf=self.low)
        scaled = (np.clip(numbers, self.low, self.high) - self.low) * 255 / (self.high - self.low)
        return np.rint(scaled).astype(np.uint8)


def to_8_bit(raw: RawImage, channels: int, decoding: Decoding) -> tuple[Pixels, Scale | None]:
    """Convert an image to 8-bit pixels with the requested channels.

    Args:
        raw: The image.
        channels: Number of channels, >= 1: 1 is gray, 3 is RGB; any other number must match the file.
        decoding: Settings of the data set.

    Returns:
        uint8 ``[H, W, channels]``, and how values were scaled; None for an 8-bit image.

    Raises:
        ValueError: The number of channels differs, or no rule covers the values; the message is short.
    """
    values = raw.values if raw.values.ndim == 3 else raw.values[:, :, None]
    opacity = values[:, :, -1] if raw.alpha else None
    colours = values if opacity is None else values[:, :, :-1]
    scale = scale_of(colours, decoding, raw.highest) if raw.is_deep else None
    pixels = _eight_bits(colours, scale)
    if raw.inverted:
        pixels = np.asarray(255 - pixels, np.uint8)
    if opacity is None:
        return fit_channels(pixels, channels), scale
    alpha = _eight_bits(opacity, scale_of(opacity, DEFAULT) if raw.is_deep else None)
    if channels not in (GRAY, RGB):
        return fit_channels(np.dstack([pixels, alpha]), channels), scale
    return fit_channels(_on_background(pixels, alpha, decoding.alpha), channels), scale


def scale_of(values: npt.NDArray[Any], decoding: Decoding, highest: int = 0) -> Scale:
    """Decide which values become 0 and 255, by the rules in this module's docstring.

    Args:
        values: All values of an image that is not 8-bit.
        decoding: Settings of the data set.
        highest: Largest value declared by the file; 0 if it declares none.

    Raises:
        ValueError: The values are not numbers, none is finite, or no rule covers them.
    """
    if values.dtype.kind not in "uif":
        raise ValueError(f"{values.dtype} pixels, expected whole or floating-point numbers")
    if decoding.window is not None:
        return Scale(*decoding.window)
    finite = values if values.dtype.kind != "f" else values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("none of its values is a finite number")
    low, high = float(finite.min()), float(finite.max())
    if values.dtype.kind == "f":
        for bottom, top in ((0, 1), (-1, 1), (0, 255)):
            if low >= bottom - _SLACK * top and high <= top + _SLACK * top:
                return Scale(bottom, top)
    elif decoding.bit_depth is not None and values.dtype.itemsize > 1:
        return _depth(decoding.bit_depth)
    if low >= (-_SLACK * 255 if values.dtype.kind == "f" else 0):
        fitting = [depth for depth in DEPTHS if max(high, highest) < 2**depth]
        if fitting:
            return _depth(fitting[0])
    elif values.dtype.itemsize == 1:
        return Scale(-128, 127)
    elif low >= _LOWEST_CT and high < 2**15:
        return Scale(*CT_WINDOW)
    for bits in (16, 32):
        if low >= -(2 ** (bits - 1)) and high < 2 ** (bits - 1):
            return Scale(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    raise ValueError(f"values from {low:g} to {high:g}: data.window says which become black and white")


def _depth(depth: int) -> Scale:
    return Scale(0, 2**depth - 1, depth)


def _eight_bits(values: npt.NDArray[Any], scale: Scale | None) -> Pixels:
    if values.dtype == np.bool_:
        return np.asarray(values, np.uint8) * np.uint8(255)
    return np.asarray(values, np.uint8) if scale is None else scale.apply(values)


def _on_background(pixels: Pixels, alpha: Pixels, background: Alpha) -> Pixels:
    if background == "drop":
        return np.ascontiguousarray(pixels)
    opacity = alpha[:, :, None].astype(np.uint32)
    mixed = pixels * opacity + _BACKGROUNDS[background] * (255 - opacity)
    return ((mixed + 127) // 255).astype(np.uint8)
