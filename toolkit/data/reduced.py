"""Decoding JPEGs at a half, a quarter or an eighth of their size, where that is enough.

libjpeg makes the smaller picture from the low frequencies of each block, in less time than the whole one (40 ms in
place of 90 for 12 megapixels), and what it leaves out a resize would have averaged away. The part of the picture that
is wanted is therefore chosen before decoding, from the size in the file's header.
"""

from __future__ import annotations

import struct
from pathlib import Path

from toolkit.data.box import Box, ChooseBox
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels
from toolkit.data.decode import decode_file, decode_image, decode_jpeg_reduced, is_complete_jpeg

__all__ = ["decode_part", "read_part", "reduction"]

_TIMES = (8, 4, 2)  # what libjpeg does fast
_FRAME = struct.Struct(">BBHBHH")  # 0xFF, marker, length, bits, height, width
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the others are tables
_WITHOUT_LENGTH = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xDB)})  # filling, and what comes before or after a frame
_APP1, _EXIF, _MOST_EXIF = 0xE1, b"Exif\0\0", 1 << 16
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION, _ON_ITS_SIDE = 0x0112, range(5, 9)


def read_part(path: str | Path, choose: ChooseBox, least: int, channels: int = RGB) -> Pixels:
    """Read a part of an image file, perhaps at a reduced size.

    Args:
        path: The file.
        choose: Says which part is wanted, given the picture's height and width.
        least: The part keeps at least so many rows and columns, if it has them in the file; >= 1.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        DataError: As for ``read_image``.
    """
    return decode_file(path, lambda data: decode_part(data, choose, least, channels))


def decode_part(data: bytes, choose: ChooseBox, least: int, channels: int = RGB) -> Pixels:
    """Decode a part of an image file, perhaps at a reduced size; see ``read_part``.

    Raises:
        ValueError: As for ``decode_image``.
    """
    size = _upright_size(data, least * min(_TIMES)) if channels in (GRAY, RGB) else None
    if size is None:
        pixels = decode_image(data, channels)
        return choose(*pixels.shape[:2]).cut(pixels)
    box = choose(*size)
    times = reduction(box, least)
    if times > 1:
        small = decode_jpeg_reduced(data, times)
        if small is not None and small.shape[:2] == tuple(-(-side // times) for side in size):
            return fit_channels(box.reduced(times).cut(small), channels)
    pixels = decode_image(data, channels)
    if pixels.shape[:2] != size:  # the header is not what OpenCV made of it
        box = choose(*pixels.shape[:2])
    return box.cut(pixels)


def reduction(box: Box, least: int) -> int:
    """How many times smaller a picture may be, so that this part of it keeps so many rows and columns.

    Args:
        box: The part.
        least: Rows and columns, >= 1.

    Returns:
        1, 2, 4 or 8.
    """
    return next((times for times in _TIMES if min(box.height, box.width) // times >= least), 1)


def _upright_size(data: bytes, from_side: int) -> tuple[int, int] | None:
    """Height and width, after EXIF orientation, of a complete JPEG whose sides are so long; None for anything else."""
    found = _frame(data) if is_complete_jpeg(data) else None
    if found is None or min(found[:2]) < from_side:
        return None
    height, width, exif = found
    try:
        turned = exif is not None and _orientation(data[exif : exif + _MOST_EXIF]) in _ON_ITS_SIDE
    except (struct.error, KeyError):
        return None  # the decoder will say what it makes of it
    return (width, height) if turned else (height, width)


def _frame(data: bytes) -> tuple[int, int, int | None] | None:
    """Height and width in the header of a JPEG, and where its EXIF data begin, if before them; None: no such header.

    (Segments are two bytes of marker, two of length, content: ITU-T T.81, B.1. PIL takes a tenth of the time of
    decoding to tell the same, and warns of EXIF data that are not to its liking.)
    """
    position, exif = 2, None
    while position + _FRAME.size <= len(data):
        filler, marker, length, _, height, width = _FRAME.unpack_from(data, position)
        if filler != 0xFF or marker in _WITHOUT_LENGTH:
            return None
        if marker in _FRAME_MARKERS:
            return (height, width, exif) if height and width else None
        if exif is None and marker == _APP1 and data.startswith(_EXIF, position + 4):
            exif = position + 4 + len(_EXIF)
        position += 2 + length
    return None


def _orientation(exif: bytes) -> int:
    """The tag in the first directory (TIFF 6.0, section 2: 12 bytes an entry); 1, upright, where there is none."""
    order = _BYTE_ORDERS[exif[:2]]
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for entry in range(count):
        tag, _, _, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
        if tag == _ORIENTATION:
            return int(value)
    return 1
