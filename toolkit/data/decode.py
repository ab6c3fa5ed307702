"""Decode image files to pixels, independently of library versions, and detect damage.

simplejpeg decodes JPEGs (``toolkit.data.jpeg``), OpenCV decodes PNGs without transparency, EXIF or animation once their
checksums are verified (``toolkit.data.png``), NumPy reads ``.npy`` files, and PIL reads the rest, except for TIFFs of
more than 8 bits (``toolkit.data.tiff``). OpenCV is not used for WebP, AVIF and GIF: whether it reads and rotates them,
and how it treats their alpha, depends on its version. Only the first frame of an animation is read. EXIF orientation is
applied, colour profiles are ignored; gray, palette and CMYK become RGB; a single channel is the luma of RGB.

``toolkit.data.bit_depth`` converts values of more than 8 bits, and transparency, to 8-bit pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from toolkit.core.errors import DataError
from toolkit.data import multiband
from toolkit.data.bit_depth import DEFAULT, Decoding, RawImage, to_8_bit
from toolkit.data.channels import GRAY, RGB, Pixels, counted
from toolkit.data.jpeg import JPEG, JpegHeader, decode_fast, read_header
from toolkit.data.orientation import turned
from toolkit.data.pillow import check_size, orientation_with_pil, read_deep_pnm, read_with_pil
from toolkit.data.png import PNG, PngHeader, read_png
from toolkit.data.tiff import TIFF, read_deep, read_tags

IMAGE_EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".npy",
})  # fmt: skip
_RGB_TIFF = 2  # photometric interpretation
_AS_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.10 and later: saves the conversion from BGR


def is_image_file(path: Path) -> bool:
    """Return True for a visible file with one of ``IMAGE_EXTENSIONS`` (in any case); the file is not opened."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def read_image(path: str | Path, channels: int = RGB, decoding: Decoding | None = None) -> Pixels:
    """Read an image file; its path may contain any Unicode.

    Args:
        path: The file.
        channels: Number of channels, >= 1: 1 is gray, 3 is RGB.
        decoding: Fixed bit depth, window and alpha; by default nothing is fixed and the background is white.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        DataError: The file is missing, empty, truncated, damaged, not an image, or has the wrong number of channels.
    """
    return decode_file(path, lambda data: decode_image(data, channels, decoding=decoding))


def decode_file(path: str | Path, decode: Callable[[bytes], Pixels]) -> Pixels:
    """Read a file and decode it; errors name the file.

    Args:
        path: The file.
        decode: Converts bytes to pixels; raises ValueError with a short message.

    Returns:
        The result of ``decode``.

    Raises:
        DataError: The file cannot be read or decoded.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes
            data = file.readall()
        return decode(data)
    except OSError as error:
        raise DataError(f"cannot read image {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"cannot read image {path}: {error}", hint="replace or remove the file") from error


def decode_image(
    data: bytes, channels: int = RGB, header: JpegHeader | None = None, decoding: Decoding | None = None
) -> Pixels:
    """Decode the bytes of an image file.

    Args:
        data: The whole file.
        channels: Number of channels, >= 1: 1 is gray, 3 is RGB.
        header: Header of a JPEG, if already known.
        decoding: As for ``read_image``.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        ValueError: The bytes are not a complete image, or have the wrong number of channels; the message is short and
            names no file.
    """
    return to_8_bit(read_raw(data, channels, header), channels, decoding or DEFAULT)[0]


def read_raw(data: bytes, channels: int = RGB, header: JpegHeader | None = None) -> RawImage:
    """Read an image as stored, but upright.

    Args:
        data: The whole file.
        channels: Number of channels: a TIFF may be read as colours or as bands.
        header: Header of a JPEG, if already known.

    Raises:
        ValueError: As for ``decode_image``.
    """
    if not data:
        raise ValueError("the file is empty")
    if data.startswith(JPEG):
        return _read_jpeg(data, header)
    if data.startswith(PNG):
        return _read_png(data)
    if multiband.is_array(data):
        return multiband.read_array(data)
    if data.startswith(TIFF):
        return _read_tiff(data, channels)
    return read_deep_pnm(data) or read_with_pil(data)


def decode_jpeg_reduced(data: bytes, header: JpegHeader, times: int) -> Pixels | None:
    """Decode a JPEG at a reduced size.

    Args:
        data: The whole file.
        header: Its header.
        times: 2, 4 or 8.

    Returns:
        RGB uint8, upright, with sides divided by ``times`` and rounded up; None if simplejpeg cannot decode it.

    Raises:
        ValueError: The file is damaged or far too large.
    """
    check_size(header.height, header.width)
    return decode_fast(data, header, times)


def _read_jpeg(data: bytes, header: JpegHeader | None) -> RawImage:
    header = header or read_header(data)
    if header is not None:
        check_size(header.height, header.width)
    pixels = decode_fast(data, header)
    return read_with_pil(data) if pixels is None or header is None else RawImage(pixels, header.mode)


def _read_png(data: bytes) -> RawImage:
    header = read_png(data)
    check_size(header.height, header.width)
    deep = header.bits > 8
    if not deep and (header.alpha or header.special):
        return read_with_pil(data)
    kind = cv2.IMREAD_GRAYSCALE if header.gray and not deep else cv2.IMREAD_COLOR if _AS_RGB is None else _AS_RGB
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if deep else kind)
    except cv2.error:
        values = None
    if values is None:
        return read_with_pil(data)
    if deep:
        return _deep_png(data, values, header)
    values = cv2.cvtColor(values, cv2.COLOR_BGR2RGB, dst=values) if kind == cv2.IMREAD_COLOR else values
    return RawImage(values, "palette" if header.palette else "gray" if header.gray else "RGB")


def _deep_png(data: bytes, values: Any, header: PngHeader) -> RawImage:
    """Convert a 16-bit PNG from OpenCV's layout: BGR, gray with alpha in four channels, not rotated."""
    name = "16-bit gray" if header.gray or header.gray_alpha else "16-bit RGB"
    if values.ndim == 3:
        kept = [0, 3] if name == "16-bit gray" else [2, 1, 0, 3]
        values = values[:, :, [channel for channel in kept if channel < values.shape[2]]]
    alpha = values.ndim == 3 and values.shape[2] in (2, 4)
    if header.special:
        values = turned(values, orientation_with_pil(data))
    fits = values[..., : -1 if alpha else None].max(initial=0) < 2**header.significant_bits
    highest = 2**header.significant_bits - 1 if fits and header.significant_bits else 0
    return RawImage(values, f"{name} + alpha" if alpha else name, alpha, highest)


def _read_tiff(data: bytes, channels: int) -> RawImage:
    header = read_tags(data)
    if header is None:
        return read_with_pil(data)
    check_size(header.height, header.width)
    usual = header.is_gray or header.is_colour or header.photometric > _RGB_TIFF
    if channels in (GRAY, RGB) and (header.samples > RGB + 1 or (header.samples > 1 and not usual)):
        raise ValueError(f"{counted(header.samples)}, expected 1 or 3")
    if channels not in (GRAY, RGB) and header.samples not in (1, channels):  # pages of one sample may be channels
        raise ValueError(f"{counted(header.samples)}, expected {channels}")
    bands = channels not in (GRAY, RGB) and not (header.alpha and header.samples == channels)
    deep = header.is_deep and header.photometric <= _RGB_TIFF  # PIL handles other colour spaces: CMYK, palettes, L*a*b*
    return read_deep(data, header) if deep or bands else read_with_pil(data)
