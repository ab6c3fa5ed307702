"""Decoding JPEGs at a half, a quarter or an eighth of their size, where that is enough.

libjpeg makes the smaller picture from the low frequencies of each block, in less time than the whole one (40 ms in
place of 90 for 12 megapixels), and what it leaves out a resize would have averaged away. The part of the picture that
is wanted is therefore chosen before decoding, from the size in the file's header.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.data.bit_depth import Decoding
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels
from toolkit.data.crop import Box, ChooseBox
from toolkit.data.decode import decode_file, decode_image, decode_jpeg_reduced
from toolkit.data.jpeg import JPEG, read_header

_TIMES = (8, 4, 2)  # what libjpeg does fast


def read_part(
    path: str | Path, choose: ChooseBox, least: int, channels: int = RGB, decoding: Decoding | None = None
) -> Pixels:
    """Read a part of an image file, perhaps at a reduced size.

    Args:
        path: The file.
        choose: Says which part is wanted, given the picture's height and width.
        least: The part keeps at least so many rows and columns, if it has them in the file; >= 1.
        channels: How many channels are wanted, >= 1: 1 is gray, 3 is RGB.
        decoding: As for ``read_image``.

    Returns:
        uint8 pixels, ``[height, width, channels]``.

    Raises:
        DataError: As for ``read_image``.
    """
    return decode_file(path, lambda data: decode_part(data, choose, least, channels, decoding))


def decode_part(
    data: bytes, choose: ChooseBox, least: int, channels: int = RGB, decoding: Decoding | None = None
) -> Pixels:
    """Decode a part of an image file, perhaps at a reduced size; see ``read_part``.

    Raises:
        ValueError: As for ``decode_image``.
    """
    header = read_header(data) if channels in (GRAY, RGB) and data.startswith(JPEG) else None
    if header is None or min(header.height, header.width) < least * min(_TIMES):
        pixels = decode_image(data, channels, header, decoding)
        return choose(*pixels.shape[:2]).cut(pixels)
    size = header.upright_size
    box = choose(*size)
    times = reduction(box, least)
    if times > 1:
        small = decode_jpeg_reduced(data, header, times)
        if small is not None and small.shape[:2] == tuple(-(-side // times) for side in size):
            return fit_channels(box.reduced(times).cut(small), channels)
    pixels = decode_image(data, channels, header, decoding)
    if pixels.shape[:2] != size:  # the header is not what the decoder made of it
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
