"""From the bytes of an image file to pixels, the same whatever versions are installed, noticing what is broken.

JPEGs are decoded by simplejpeg (``toolkit.data.jpeg``), PNGs without transparency, EXIF and animation by OpenCV after
their checksums were compared (``toolkit.data.png``), ``.npy`` files by NumPy, all others by PIL, but for TIFFs of more
than 8 bits (``toolkit.data.tiff``). OpenCV is not asked for WebP, AVIF and GIF, as it depends on its version whether it
reads them, turns them, and what it does with their alpha. Of an animation the first frame is seen. EXIF orientation is
applied, colour profiles are left alone; gray, palette and CMYK become RGB; one channel is the luma of that.

How numbers of more than 8 bits and transparency become 8-bit pixels is in ``toolkit.data.levels``.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from toolkit.data import multiband
from toolkit.data.channels import GRAY, RGB, Pixels, counted
from toolkit.data.jpeg import JPEG, JpegHeader, decode_fast, read_header
from toolkit.data.levels import DEFAULT, Decoding, RawImage, develop
from toolkit.data.png import PNG, PngHeader, read_png
from toolkit.data.tiff import TIFF, read_deep, read_tags
from toolkit.data.upright import UPRIGHT, turned
from toolkit.errors import DataError

__all__ = [
    "IMAGE_EXTENSIONS",
    "Pixels",
    "check_size",
    "decode_file",
    "decode_image",
    "decode_jpeg_reduced",
    "defect",
    "is_image_file",
    "read_image",
    "read_raw",
]

IMAGE_EXTENSIONS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif",
    ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".npy",
})  # fmt: skip
_AS_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)  # OpenCV 4.10 and later: saves turning BGR round
_DEEP_PNM = re.compile(rb"P([56])(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)(?:\s|#[^\n]*\n)+(\d+)\s")
_ORIENTATION = 0x0112
_PIL_NAMES = {
    "1": "gray", "L": "gray", "LA": "gray", "La": "gray", "P": "palette", "PA": "palette", "CMYK": "CMYK",
    "I": "32-bit gray", "F": "float32 gray",
}  # fmt: skip
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    RuntimeError,
    OverflowError,
    struct.error,
    MemoryError,
)  # fmt: skip - PIL raises all of these for damaged files, by format


def is_image_file(path: Path) -> bool:
    """True for a visible file with one of ``IMAGE_EXTENSIONS`` (upper or lower case); the file is not opened."""
    return path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")


def read_image(path: str | Path, channels: int = RGB, decoding: Decoding | None = None) -> Pixels:
    """Read an image file; its path may hold any Unicode.

    Args:
        path: The file.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.
        decoding: What is fixed of bit depth, window and alpha; by default nothing, and alpha is laid on white.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        DataError: The file is missing, empty, cut off, damaged, not an image, or one with another number of channels.
    """
    return decode_file(path, lambda data: decode_image(data, channels, decoding=decoding))


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


def decode_image(
    data: bytes, channels: int = RGB, header: JpegHeader | None = None, decoding: Decoding | None = None
) -> Pixels:
    """Decode the bytes of an image file.

    Args:
        data: The whole file.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.
        header: Of a JPEG, what is known of it already.
        decoding: As for ``read_image``.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        ValueError: The bytes are no complete image, or one with another number of channels; the message is a few words
            and names no file.
    """
    return develop(read_raw(data, channels, header), channels, decoding or DEFAULT)[0]


def read_raw(data: bytes, channels: int = RGB, header: JpegHeader | None = None) -> RawImage:
    """An image as its file has it, upright.

    Args:
        data: The whole file.
        channels: How many channels are wanted: a TIFF may be read as colours or as bands.
        header: Of a JPEG, what is known of it already.

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
    return _read_deep_pnm(data) or _read_with_pil(data)


def defect(path: Path, channels: int = RGB, decoding: Decoding | None = None) -> str | None:
    """Say what is wrong with an image file, by decoding it.

    Args:
        path: The file.
        channels: How many channels are wanted.
        decoding: As for ``read_image``.

    Returns:
        A few words, or None for a sound file.
    """
    try:
        decode_image(path.read_bytes(), channels, decoding=decoding)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return None


def decode_jpeg_reduced(data: bytes, header: JpegHeader, times: int) -> Pixels | None:
    """Decode a JPEG at a reduced size.

    Args:
        data: The whole file.
        header: What stands in it.
        times: 2, 4 or 8.

    Returns:
        RGB uint8, upright, the sides divided by ``times`` and rounded up; None: simplejpeg cannot.

    Raises:
        ValueError: The file is damaged, or far too large.
    """
    check_size(header.height, header.width)
    return decode_fast(data, header, times)


def check_size(height: int, width: int) -> None:
    """Refuse what would take the memory.

    Raises:
        ValueError: The image has more pixels than PIL accepts, 179 million (twice ``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and height * width > 2 * most:
        raise ValueError(f"too many pixels ({width} x {height})")


def _read_jpeg(data: bytes, header: JpegHeader | None) -> RawImage:
    header = header or read_header(data)
    if header is not None:
        check_size(header.height, header.width)
    pixels = decode_fast(data, header)
    return _read_with_pil(data) if pixels is None or header is None else RawImage(pixels, header.mode)


def _read_png(data: bytes) -> RawImage:
    header = read_png(data)
    check_size(header.height, header.width)
    deep = header.bits > 8
    if not deep and (header.alpha or header.special):
        return _read_with_pil(data)
    kind = cv2.IMREAD_GRAYSCALE if header.gray and not deep else cv2.IMREAD_COLOR if _AS_RGB is None else _AS_RGB
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED if deep else kind)
    except cv2.error:
        values = None
    if values is None:
        return _read_with_pil(data)
    if deep:
        return _deep_png(data, values, header)
    values = cv2.cvtColor(values, cv2.COLOR_BGR2RGB, dst=values) if kind == cv2.IMREAD_COLOR else values
    return RawImage(values, "palette" if header.palette else "gray" if header.gray else "RGB")


def _deep_png(data: bytes, values: Any, header: PngHeader) -> RawImage:
    """16 bits, as OpenCV gives them: BGR, gray with alpha in four channels, not turned."""
    name = "16-bit gray" if header.gray or header.gray_alpha else "16-bit RGB"
    if values.ndim == 3:
        kept = [0, 3] if name == "16-bit gray" else [2, 1, 0, 3]
        values = values[:, :, [channel for channel in kept if channel < values.shape[2]]]
    alpha = values.ndim == 3 and values.shape[2] in (2, 4)
    if header.special:
        values = turned(values, _orientation_with_pil(data))
    fits = values[..., : -1 if alpha else None].max(initial=0) < 2**header.significant_bits
    highest = 2**header.significant_bits - 1 if fits and header.significant_bits else 0
    return RawImage(values, f"{name} + alpha" if alpha else name, alpha, highest)


def _orientation_with_pil(data: bytes) -> int:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except _DAMAGED as error:
        raise ValueError(f"damaged ({error})") from error


def _read_tiff(data: bytes, channels: int) -> RawImage:
    header = read_tags(data)
    if header is None:
        return _read_with_pil(data)
    check_size(header.height, header.width)
    usual = header.is_gray or header.is_colour or header.photometric > 2
    if channels in (GRAY, RGB) and (header.samples > RGB + 1 or (header.samples > 1 and not usual)):
        raise ValueError(f"{counted(header.samples)}, expected 1 or 3")
    if channels not in (GRAY, RGB) and header.samples not in (1, channels):  # pages of one sample may be channels
        raise ValueError(f"{counted(header.samples)}, expected {channels}")
    bands = channels not in (GRAY, RGB) and not (header.alpha and header.samples == channels)
    return read_deep(data, header) if header.is_deep or bands else _read_with_pil(data)


def _read_deep_pnm(data: bytes) -> RawImage | None:
    """A binary PGM or PPM of more than 8 bits; PIL would scale it to other numbers."""
    found = _DEEP_PNM.match(data)
    if found is None or int(found[4]) <= 255:
        return None
    channels, (width, height, most) = (GRAY if found[1] == b"5" else RGB), map(int, found.groups()[1:])
    check_size(height, width)
    if len(data) - found.end() < 2 * height * width * channels:
        raise ValueError("damaged (it ends too early)")
    values = np.frombuffer(data, ">u2", height * width * channels, found.end()).reshape(height, width, channels)
    return RawImage(values, f"16-bit {'gray' if channels == GRAY else 'RGB'}", highest=most if most < 65535 else 0)


def _read_with_pil(data: bytes) -> RawImage:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return _raw(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise ValueError("not an image") from error
    except Image.DecompressionBombError as error:
        raise ValueError("too many pixels") from error
    except _DAMAGED as error:
        raise ValueError(f"damaged ({next(iter(str(error).splitlines()), '') or type(error).__name__})") from error


def _raw(image: Image.Image) -> RawImage:
    name = _PIL_NAMES.get(image.mode, "16-bit gray" if image.mode.startswith("I;16") else "RGB")
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("LA", "La") else "RGBA"
        return RawImage(np.asarray(image.convert(mode)), "RGBA" if name == "RGB" else f"{name} + alpha", alpha=True)
    if name == "gray":
        return RawImage(np.asarray(image.convert("L")), name)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return RawImage(np.asarray(image), name)
    return RawImage(np.asarray(image.convert("RGB")), name)
