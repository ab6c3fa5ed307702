"""From the bytes of an image file to pixels, noticing what is broken.

OpenCV reads most files and is the fastest, but for JPEGs where simplejpeg is installed, which gives the same pixels
(``toolkit.data.jpeg``). OpenCV 4 gives a gray bottom for a JPEG that ends too early, so a file without its end marker
is first read by PIL, which raises. What OpenCV cannot read at all (GIF and AVIF, by version) PIL reads. EXIF
orientation is applied; gray, palette, CMYK and 16-bit pictures (their upper byte) become 8-bit RGB; alpha is dropped.
One channel is the luma of that. Other numbers of channels, and ``.npy`` files, are read by ``toolkit.data.multiband``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from toolkit.data import multiband
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels
from toolkit.data.jpeg import JpegHeader, decode_fast
from toolkit.errors import DataError

__all__ = [
    "IMAGE_EXTENSIONS",
    "Pixels",
    "decode_file",
    "decode_image",
    "decode_jpeg_reduced",
    "defect",
    "is_complete_jpeg",
    "is_image_file",
    "read_image",
]

IMAGE_EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".npy",
})  # fmt: skip
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND"
_HEAD, _TAIL = 16, 64
_AS_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.10 and later: saves turning BGR round
_REDUCED = {2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}


def is_image_file(path: Path) -> bool:
    """True for a visible file with one of ``IMAGE_EXTENSIONS`` (upper or lower case); the file is not opened."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def read_image(path: str | Path, channels: int = RGB) -> Pixels:
    """Read an image file; its path may hold any Unicode.

    Args:
        path: The file.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        DataError: The file is missing, empty, cut off, not an image, or one with another number of channels.
    """
    return decode_file(path, lambda data: decode_image(data, channels))


def decode_file(path: str | Path, decode: Callable[[bytes], Pixels]) -> Pixels:
    """Read a file and decode it; what goes wrong names the file.

    Args:
        path: The file.
        decode: From its bytes to pixels; raises ValueError with a few words.

    Returns:
        What ``decode`` returns.

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


def decode_image(data: bytes, channels: int = RGB, header: JpegHeader | None = None) -> Pixels:
    """Decode the bytes of an image file.

    Args:
        data: The whole file.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.
        header: Of a complete JPEG, what is known of it already.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        ValueError: The bytes are no complete image, or one with another number of channels; the message is a few words
            and names no file.
    """
    if not data:
        raise ValueError("the file is empty")
    if channels in (GRAY, RGB) and not multiband.is_array(data):
        return fit_channels(_decode_colour(data, header), channels)
    return multiband.decode(data, channels)


def _decode_colour(data: bytes, header: JpegHeader | None) -> Pixels:
    if multiband.too_many_bands(data):
        raise ValueError(multiband.describe(data))
    if header is None and not _is_surely_complete(data[:_HEAD], data[-_TAIL:]):
        complete = _decode_with_pil(data)
        if not data.startswith((_JPEG, _PNG)):
            # Formats without an end marker: PIL has read the file in full; OpenCV's pixels are used where it has any.
            pixels = _decode_with_opencv(data)
            return complete if pixels is None else pixels
    pixels = decode_fast(data, header) if data.startswith(_JPEG) else None
    if pixels is None:
        pixels = _decode_with_opencv(data)
    return _decode_with_pil(data) if pixels is None else pixels


def defect(path: Path, channels: int = RGB) -> str | None:
    """Say what is wrong with an image file, reading as little of it as possible.

    A JPEG or PNG that has its end marker passes unread, or with its header read where the channels matter; everything
    else is decoded.

    Args:
        path: The file.
        channels: How many channels are wanted.

    Returns:
        A few words, or None for a sound file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, io.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read(_TAIL)
        if not _is_surely_complete(head, tail):
            decode_image(path.read_bytes(), channels)
        elif channels not in (GRAY, RGB):
            multiband.check_header(path, channels)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return None


def is_complete_jpeg(data: bytes) -> bool:
    """True for the bytes of a JPEG file that has its end marker."""
    return data.startswith(_JPEG) and _is_surely_complete(data[:_HEAD], data[-_TAIL:])


def decode_jpeg_reduced(data: bytes, header: JpegHeader, times: int) -> Pixels | None:
    """Decode a complete JPEG at a reduced size.

    Args:
        data: The whole file.
        header: What stands in it.
        times: 2, 4 or 8.

    Returns:
        RGB uint8 ``[ceil(height / times), ceil(width / times), 3]``; None: neither simplejpeg nor OpenCV can.
    """
    pixels = decode_fast(data, header, times)
    return _decode_with_opencv(data, _REDUCED[times]) if pixels is None else pixels


def _is_surely_complete(head: bytes, tail: bytes) -> bool:
    if head.startswith(_JPEG):
        return tail.rstrip(b"\0\r\n ").endswith(_JPEG_END)
    return head.startswith(_PNG) and _PNG_END in tail


def _decode_with_opencv(data: bytes, mode: int = cv2.IMREAD_COLOR) -> Pixels | None:
    if _AS_RGB is not None:
        mode = mode & ~cv2.IMREAD_COLOR | _AS_RGB
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error:
        return None
    if pixels is None:
        return None
    return np.asarray(pixels if _AS_RGB is not None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), np.uint8)


def _decode_with_pil(data: bytes) -> Pixels:
    try:
        with Image.open(io.BytesIO(data)) as image:
            upright = ImageOps.exif_transpose(image)
            if "transparency" in upright.info:  # PIL warns when it must drop a palette's transparency in one step
                upright = upright.convert("RGBA")
            return np.array(upright.convert("RGB"), np.uint8)
    except UnidentifiedImageError as error:
        raise ValueError(multiband.describe(data) or "not an image") from error
    except Image.DecompressionBombError as error:
        raise ValueError("too many pixels") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError) as error:
        # PIL raises all of these for damaged files, by format.
        raise ValueError(f"damaged ({str(error) or type(error).__name__})") from error
