"""PNG files: their chunks, which say what kind of image it is and whether it is whole.

Decoders differ in what they do with a damaged one, and with EXIF and animations; so these are known before decoding.
(PNG, third edition, W3C 2025: https://www.w3.org/TR/png-3/, sections 5.3 and 11.)
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

PNG = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS"})
_TEXT = frozenset({b"tEXt", b"zTXt", b"iTXt"})
_EXIF_AS_TEXT = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")
_GRAY, _GRAY_ALPHA, _RGB_ALPHA, _PALETTE = 0, 4, 6, 3


class PngHeader(NamedTuple):
    """What stands around the pixels.

    Attributes:
        height: Rows, >= 1.
        width: Columns, >= 1.
        bits: A sample, 1 to 16.
        gray: Gray, without alpha.
        gray_alpha: Gray with alpha.
        palette: Colours by number.
        alpha: There are transparent pixels, or may be.
        special: It may be turned or animated, which not every decoder heeds.
        significant_bits: The most that ``sBIT`` gives a colour; 0: it says nothing.
    """

    height: int
    width: int
    bits: int
    gray: bool
    gray_alpha: bool
    palette: bool
    alpha: bool
    special: bool
    significant_bits: int


def read_png(data: bytes) -> PngHeader:
    """Go through the chunks of a PNG file and compare the checksums of those that make the pixels.

    Args:
        data: The file.

    Raises:
        ValueError: It is damaged or cut off; the message is a few words.
    """
    position, start, significant = len(PNG), None, 0
    alpha = special = False
    view = memoryview(data)
    while True:
        if position + 12 > len(data):
            raise ValueError("damaged (it ends too early)")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            raise ValueError("damaged (it ends too early)")
        if kind in _NEEDED and zlib.crc32(view[position + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise ValueError(f"damaged (the checksum of {kind.decode()} is wrong)")
        content = view[position + 8 : end - 4]
        if kind == b"IHDR" and length >= 13:
            start = struct.unpack_from(">IIBB", content)
        elif kind == b"sBIT" and length:
            significant = max(content)
        alpha |= kind == b"tRNS"
        special |= kind in (b"eXIf", b"acTL") or (kind in _TEXT and bytes(content[:32]).startswith(_EXIF_AS_TEXT))
        if kind == b"IEND":
            break
        position = end
    if start is None or not (start[0] and start[1]):
        raise ValueError("damaged (it has no size)")
    width, height, bits, colour = start
    return PngHeader(
        height,
        width,
        bits,
        gray=colour == _GRAY,
        gray_alpha=colour == _GRAY_ALPHA,
        palette=colour == _PALETTE,
        alpha=alpha or colour in (_GRAY_ALPHA, _RGB_ALPHA),
        special=special,
        significant_bits=significant,
    )
