"""Check the chunks of PNG files, which tell the kind of image and whether the file is complete.

Decoders treat damage, EXIF and animations differently, so all three are detected before decoding.
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
    """The properties of a PNG.

    Attributes:
        height: Rows, >= 1.
        width: Columns, >= 1.
        bits: Bits per sample, 1 to 16.
        gray: Gray, without alpha.
        gray_alpha: Gray with alpha.
        palette: Indexed colours.
        alpha: There may be transparent pixels.
        special: The image may be rotated or animated, which some decoders ignore.
        significant_bits: Largest number of bits in ``sBIT``; 0 if there is none.
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
    """Read the chunks of a PNG file and verify the checksums of those that define the pixels.

    Args:
        data: The file.

    Raises:
        ValueError: The file is damaged or truncated; the message is short.
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
