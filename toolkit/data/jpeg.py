"""JPEG files: what their header says, and the fastest decoder that is installed.

simplejpeg (``pip install -e ".[fast]"``) takes a fifteenth less time than OpenCV. Both are libjpeg-turbo, with the same
settings: the pixels are equal. What is not an upright picture of a usual kind is left to OpenCV.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from toolkit.data.channels import Pixels

__all__ = ["JpegHeader", "decode_fast", "read_header"]

_SEGMENT = struct.Struct(">BBHBHH")  # 0xFF, marker, length; in a frame's header then bits, height, width
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the others are tables
_WITHOUT_LENGTH = frozenset({0x00, 0x01, 0xFF, *range(0xD0, 0xDA)})  # filling, and what never comes before a scan
_SCAN = 0xDA
_APP1, _EXIF, _MOST_EXIF = 0xE1, b"Exif\0\0", 1 << 16
_BYTE_ORDERS = {b"II": "<", b"MM": ">"}
_ORIENTATION, _UPRIGHT, _ON_ITS_SIDE = 0x0112, 1, range(5, 9)
_MOST_PIXELS = 1 << 28


class JpegHeader(NamedTuple):
    """What stands before the pixels.

    Attributes:
        height: Rows as they are stored, >= 1.
        width: Columns as they are stored, >= 1.
        orientation: EXIF's number; 1, upright, where there is none.
    """

    height: int
    width: int
    orientation: int

    @property
    def upright_size(self) -> tuple[int, int]:
        """Height and width of the picture as it is looked at."""
        return (self.width, self.height) if self.orientation in _ON_ITS_SIDE else (self.height, self.width)


def read_header(data: bytes) -> JpegHeader | None:
    """Read the header of a JPEG.

    (Segments are two bytes of marker, two of length, content: ITU-T T.81, B.1. PIL takes a tenth of the time of
    decoding to tell the same, and warns of EXIF data that are not to its liking.)

    Args:
        data: The file.

    Returns:
        The header; None where it is damaged, or leaves the orientation open.
    """
    position, size, exif = 2, None, []
    while position + _SEGMENT.size <= len(data):
        filler, marker, length, _, height, width = _SEGMENT.unpack_from(data, position)
        if filler != 0xFF or marker in _WITHOUT_LENGTH:
            return None
        if marker == _SCAN:
            break
        if marker in _FRAME_MARKERS:
            if size or not (height and width):
                return None
            size = (height, width)
        elif marker == _APP1 and data.startswith(_EXIF, position + 4):
            exif.append(position + 4 + len(_EXIF))
        position += 2 + length
    else:
        return None
    if size is None or len(exif) > 1:
        return None
    try:
        return JpegHeader(*size, _orientation(data[exif[0] : exif[0] + _MOST_EXIF]) if exif else _UPRIGHT)
    except (struct.error, KeyError):
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
    return _UPRIGHT


def decode_fast(data: bytes, header: JpegHeader | None = None, times: int = 1) -> Pixels | None:
    """Decode a JPEG with simplejpeg.

    Args:
        data: The whole file.
        header: What stands in it, if that is known already.
        times: How many times smaller: 1, 2, 4 or 8.

    Returns:
        RGB uint8 ``[ceil(height / times), ceil(width / times), 3]``; None: simplejpeg is not installed, or the picture
        is turned, very large, damaged or of a rare kind.
    """
    decoder = _simplejpeg()
    if decoder is None or (header := header or read_header(data)) is None:
        return None
    if header.orientation != _UPRIGHT or header.height * header.width > _MOST_PIXELS:
        return None
    height, width = -(-header.height // times), -(-header.width // times)
    try:
        pixels = np.asarray(decoder.decode_jpeg(data, "RGB", min_height=height, min_width=width), np.uint8)
    except ValueError:
        return None
    return pixels if pixels.shape[:2] == (height, width) else None


@cache
def _simplejpeg() -> Any:
    """The module, or None."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg
