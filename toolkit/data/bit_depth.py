"""From the numbers in a file to 8 bits, and from transparency to a background: the one place that decides both.

Each file is decided by itself, so that training, prediction and whoever follows ``inference.yml`` see the same pixels:

- 8 bits a sample are kept as they are.
- Whole numbers >= 0 of more bits: the depth is the smallest of 8, 10, 12, 14, 16, 24 and 32 bits that holds the largest
  value of the file, and the largest that the file declares (TIFF ``MaxSampleValue``, ``SMaxSampleValue`` and
  ``BitsPerSample``, PNG ``sBIT`` where the values keep to it, the maximum of a PGM or PPM). The upper 8 bits of that
  depth are kept: ``value >> (depth - 8)``.
- Whole numbers of which some are below 0: int8 is -128 to 127; not below -4096: CT numbers (Hounsfield units), seen
  through the window -1024 to 3071; else the range of 16 or 32 bits with a sign.
- Floating point: 0 to 1 where nothing is outside -0.1 to 1.1; -1 to 1 where nothing is outside -1.1 to 1.1; 0 to 255
  where nothing is outside -25.5 to 280.5; then as whole numbers, by the depth or the CT window.
- A window from ``low`` to ``high`` becomes 0 to 255: ``round((x - low) * 255 / (high - low))``, clipped. NaN and
  -infinity are ``low``, +infinity is ``high``.
- Alpha, of 8 bits: ``round((colour * alpha + background * (255 - alpha)) / 255)``, the background being white.

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
"""Hounsfield units of a CT with 12 bits."""
_LOWEST_CT = -4096  # what lies outside the circle of a scanner is often -2000 or -3024
_SLACK = 0.1
"""Share of the range by which resampling may have overshot it."""
_BACKGROUNDS = {"white": 255, "black": 0}
_COLOUR_WITH_ALPHA = (2, 4)


@dataclass(frozen=True)
class Decoding:
    """What a data set fixes of the way from files to 8-bit pixels.

    Attributes:
        bit_depth: Files of whole numbers >= 0 with more than 8 bits hold so many, 8 to 32; None: by each file's values.
        window: Values that become 0 and 255, for all files that are not of 8 bits; None: by each file's values.
        alpha: What transparency is laid on; ``drop`` leaves it out.
    """

    bit_depth: int | None = None
    window: tuple[float, float] | None = None
    alpha: Alpha = "white"

    @classmethod
    def of(cls, config: DataConfig) -> Decoding:
        """What a config says."""
        return cls(config.bit_depth, config.window, config.alpha)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a YAML file."""
        return {**asdict(self), "window": None if self.window is None else list(self.window)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Decoding:
        """The inverse of ``to_dict``.

        Where ``alpha`` is missing, the values are of a version that had no such rules: the upper byte of 16 bits was
        kept, and alpha was dropped.

        Raises:
            ValueError: A value that is none of these.
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
"""Nothing is fixed, and alpha is laid on white."""


@dataclass(frozen=True)
class RawImage:
    """An image as its file has it, upright.

    Attributes:
        values: ``[H, W]`` (gray) or ``[H, W, C]``; three channels are RGB.
        mode: What a person calls it: ``RGB``, ``gray``, ``palette``, ...
        alpha: The last channel (of 2 or 4) is alpha.
        highest: The largest value that the file declares.
        inverted: 0 is white.
    """

    values: npt.NDArray[Any]
    mode: str
    alpha: bool = False
    highest: int = 0
    inverted: bool = False

    @property
    def is_deep(self) -> bool:
        """It is not of 8 bits a sample."""
        return self.values.dtype not in (np.uint8, np.bool_)


@dataclass(frozen=True)
class Scale:
    """Which values of a file become 0 and 255.

    Attributes:
        low: Becomes 0.
        high: Becomes 255.
        depth: Bits, where the upper 8 of them are kept.
    """

    low: float
    high: float
    depth: int | None = None

    def __str__(self) -> str:
        return f"{self.depth}-bit" if self.depth else f"{self.low:g} to {self.high:g}"

    def apply(self, values: npt.NDArray[Any]) -> Pixels:
        """8-bit pixels of the same shape."""
        if self.depth is not None and values.dtype.kind != "f":
            return np.asarray(np.clip(values, 0, 2**self.depth - 1) >> (self.depth - 8), np.uint8)
        numbers = np.nan_to_num(values.astype(np.float64), nan=self.low, posinf=self.high, neginf=self.low)
        scaled = (np.clip(numbers, self.low, self.high) - self.low) * 255 / (self.high - self.low)
        return np.rint(scaled).astype(np.uint8)


def develop(raw: RawImage, channels: int, decoding: Decoding) -> tuple[Pixels, Scale | None]:
    """8-bit pixels with the channels that are wanted.

    Args:
        raw: The image.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB, others must be those of the file.
        decoding: What is fixed.

    Returns:
        uint8 ``[H, W, channels]``; and how values were scaled, None for an image of 8 bits.

    Raises:
        ValueError: Another number of channels, or values that no rule is for; the message is a few words.
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
    """Decide which values become 0 and 255, by the rules above.

    Args:
        values: All numbers of an image that is not of 8 bits.
        decoding: What is fixed.
        highest: The largest value that the file declares; 0: it says nothing.

    Raises:
        ValueError: They are no numbers, none is finite, or they are beyond every rule.
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


def _on_background(pixels: Pixels, alpha: Pixels, what: Alpha) -> Pixels:
    if what == "drop":
        return np.ascontiguousarray(pixels)
    opacity = alpha[:, :, None].astype(np.uint32)
    mixed = pixels * opacity + _BACKGROUNDS[what] * (255 - opacity)
    return ((mixed + 127) // 255).astype(np.uint8)
