"""Read image files with PIL, for all kinds without a special decoder."""

from __future__ import annotations

import io
import re
import struct

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from toolkit.data.bit_depth import RawImage
from toolkit.data.channels import GRAY, RGB
from toolkit.data.orientation import UPRIGHT

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
)  # fmt: skip - depending on the format, PIL raises any of these for damaged files


def check_size(height: int, width: int) -> None:
    """Refuse images that would exhaust the memory.

    Raises:
        ValueError: The image has more pixels than PIL accepts, 179 million (twice ``PIL.Image.MAX_IMAGE_PIXELS``).
    """
    most = Image.MAX_IMAGE_PIXELS
    if most is not None and height * width > 2 * most:
        raise ValueError(f"too many pixels ({width} x {height})")


def orientation_with_pil(data: bytes) -> int:
    """Return the EXIF orientation found by PIL; 1 (upright) if there is none.

    Raises:
        ValueError: The file is damaged; the message is short.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            return int(image.getexif().get(_ORIENTATION, UPRIGHT))
    except _DAMAGED as error:
        raise ValueError(f"damaged ({error})") from error


def read_deep_pnm(data: bytes) -> RawImage | None:
    """Read a binary PGM or PPM of more than 8 bits, whose values PIL would rescale; None for any other file."""
    found = _DEEP_PNM.match(data)
    if found is None or int(found[4]) <= 255:
        return None
    channels, (width, height, most) = (GRAY if found[1] == b"5" else RGB), map(int, found.groups()[1:])
    check_size(height, width)
    if len(data) - found.end() < 2 * height * width * channels:
        raise ValueError("damaged (it ends too early)")
    values = np.frombuffer(data, ">u2", height * width * channels, found.end()).reshape(height, width, channels)
    return RawImage(values, f"16-bit {'gray' if channels == GRAY else 'RGB'}", highest=most if most < 65535 else 0)


def read_with_pil(data: bytes) -> RawImage:
    """Read an image with PIL, upright.

    Raises:
        ValueError: The file is damaged or not an image; the message is short.
    """
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
