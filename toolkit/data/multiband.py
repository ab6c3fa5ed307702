"""Files with other channels than gray or red, green, blue: alpha, near infrared, the bands of a satellite.

``.npy``: uint8 (or uint16) ``[H, W]`` or ``[H, W, C]``. PNG, WebP and the like: gray with alpha (2 channels) and RGB
with alpha (4), read by PIL. TIFF: those two through PIL; all others (any number of samples a pixel, or pages of one
size, as channels) through the package tifffile where it is installed: OpenCV and PIL drop or refuse such bands.
"""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from toolkit.data.channels import GRAY, RGB, Pixels, counted, eight_bits, fit_channels

__all__ = ["check_header", "decode", "describe", "is_array", "too_many_bands"]

_NPY = b"\x93NUMPY"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GRAY_MODES = frozenset({"1", "L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
_WITH_ALPHA = {"LA": 2, "RGBA": 4}
_SAMPLES, _EXTRA_SAMPLES, _UNASSOCIATED_ALPHA = 277, 338, (2,)  # TIFF tags and a value
_DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, RuntimeError, ImportError,
    struct.error, zlib.error,
)  # fmt: skip


def is_array(data: bytes) -> bool:
    """True for the bytes of a ``.npy`` file."""
    return data.startswith(_NPY)


def decode(data: bytes, channels: int) -> Pixels:
    """Decode a ``.npy`` file, or an image file with as many channels as wanted.

    Args:
        data: The whole file.
        channels: How many channels are wanted, >= 1.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        ValueError: Not such a file; the message is a few words.
    """
    if is_array(data):
        return fit_channels(_from_npy(data), channels)
    if data.startswith(_TIFF):
        return _checked(_from_tiff(data, channels), channels)
    try:
        with Image.open(io.BytesIO(data)) as image:
            _check_mode(image, channels)
            upright = ImageOps.exif_transpose(image)
            return np.array(upright.convert("LA" if channels == _WITH_ALPHA["LA"] else "RGBA"), np.uint8)
    except UnidentifiedImageError as error:
        raise ValueError("not an image") from error
    except Image.DecompressionBombError as error:
        raise ValueError("too many pixels") from error
    except _Unfit:
        raise
    except _DAMAGED as error:
        raise ValueError(f"damaged ({_first_line(error)})") from error


def check_header(path: Path, channels: int) -> None:
    """Compare the channels of a PNG or JPEG file with those wanted (2, or more than 3).

    Raises:
        ValueError: It has others, or no readable header.
    """
    try:
        with Image.open(path) as image:
            _check_mode(image, channels)
    except UnidentifiedImageError as error:
        raise ValueError("not an image") from error


def too_many_bands(data: bytes) -> bool:
    """True for a TIFF with more than red, green, blue and alpha."""
    return data.startswith(_TIFF) and (_samples(data) or 0) > _WITH_ALPHA["RGBA"]


def describe(data: bytes) -> str | None:
    """Why a file cannot be read as a gray or colour picture: the number of channels of a TIFF; None: something else."""
    samples = _samples(data) if data.startswith(_TIFF) else None
    return None if samples is None or samples in (GRAY, RGB) else f"{counted(samples)}, expected 1 or 3"


class _Unfit(ValueError):
    """A sound picture with other channels."""


def _check_mode(image: Image.Image, channels: int) -> None:
    have = _WITH_ALPHA.get(image.mode, GRAY if image.mode in _GRAY_MODES else RGB)
    if have in (GRAY, RGB) and "transparency" in image.info:
        have = _WITH_ALPHA["RGBA"]
    if have != channels:
        raise _Unfit(f"{counted(have)}, expected {channels}")


def _checked(pixels: Pixels, channels: int) -> Pixels:
    if pixels.shape[2] != channels:
        raise ValueError(f"{counted(pixels.shape[2])}, expected {channels}")
    return pixels


def _from_npy(data: bytes) -> Pixels:
    try:
        pixels = np.load(io.BytesIO(data), allow_pickle=False)
    except _DAMAGED as error:
        raise ValueError(f"damaged ({_first_line(error)})") from error
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise ValueError(f"an array {list(pixels.shape)}, expected [H, W] or [H, W, C]")
    return np.ascontiguousarray(eight_bits(pixels))


def _from_tiff(data: bytes, channels: int) -> Pixels:
    plain = _alpha_of_tiff(data)
    if plain is not None:
        return plain
    try:
        tifffile = importlib.import_module("tifffile")
    except ImportError as error:
        samples = _samples(data)
        if samples is not None and samples > 1 and samples != channels:
            raise ValueError(f"{counted(samples)}, expected {channels}") from error
        raise ValueError("a TIFF with bands, which needs the package tifffile: pip install tifffile") from error
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            pixels, axes = series.asarray(), str(series.axes)
    except _DAMAGED as error:
        raise ValueError(f"unreadable TIFF ({_first_line(error)})") from error
    return eight_bits(_bands_last(pixels, axes))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _bands_last(pixels: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """``[H, W, C]`` of tifffile's array and its axes: Y and X, and any third one for the channels."""
    if pixels.ndim == 2:
        return pixels[:, :, None]
    if pixels.ndim != 3 or not {"Y", "X"} <= set(axes):
        raise ValueError(f"an image with axes {axes}, expected height, width and channels")
    rest = next(position for position, axis in enumerate(axes) if axis not in "YX")
    return np.ascontiguousarray(np.moveaxis(pixels, rest, -1))


def _alpha_of_tiff(data: bytes) -> Pixels | None:
    """A TIFF that is gray or RGB with plain alpha; None for any other, and for what PIL cannot read."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            tags = getattr(image, "tag_v2", {})
            whole = tags.get(_SAMPLES) == _WITH_ALPHA.get(image.mode) and getattr(image, "n_frames", 1) == 1
            if not whole or tuple(tags.get(_EXTRA_SAMPLES, ())) != _UNASSOCIATED_ALPHA:
                return None
            return np.array(ImageOps.exif_transpose(image), np.uint8)
    except UnidentifiedImageError:
        return None
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        raise ValueError(f"damaged ({_first_line(error)})") from error


def _samples(data: bytes) -> int | None:
    """Samples a pixel, as the header of a TIFF says; None when it says nothing."""
    big = data[2:3] == b"+" or data[3:4] == b"+"
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if big else 8])
        stream = io.BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        return int(directory.get(_SAMPLES, 1))
    except _DAMAGED:
        return None
