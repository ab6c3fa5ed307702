"""Decode JPEGs at a half, a quarter or an eighth of their size if that is enough.

libjpeg computes the smaller image from the low frequencies of each block. This is faster (40 ms instead of 90 for 12
megapixels), and a resize would have averaged away what is missing. The region of the image is therefore chosen before
decoding, from the size in the file's header.
"""

from __future__ import annotations

from pathlib import Path

from toolkit.data.bit_depth import Decoding
from toolkit.data.channels import GRAY, RGB, Pixels, fit_channels
from toolkit.data.crop import Box, ChooseBox
from toolkit.data.decode import decode_file, decode_image, decode_jpeg_reduced
from toolkit.data.jpeg import JPEG, read_header

_TIMES = (8, 4, 2)  # the fast reductions of libjpeg


def read_part(
    path: str | Path, choose: ChooseBox, least: int, channels: int = RGB, decoding: Decoding | None = None
) -> Pixels:
    """Read a region of an image file, possibly at a reduced size.

    Args:
        path: The file.
        choose: Chooses the region, given the height and width of the image.
        least: Minimum number of rows and columns of the result, unless the region has fewer; >= 1.
        channels: Number of channels, >= 1: 1 is gray, 3 is RGB.
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
    """Decode a region of an image file, possibly at a reduced size; see ``read_part``.

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
    if pixels.shape[:2] != size:  # the decoder disagrees with the header
        box = choose(*pixels.shape[:2])
    return box.cut(pixels)


def reduction(box: Box, least: int) -> int:
    """Return the largest reduction that leaves a region at least ``least`` rows and columns.

    Args:
        box: The region.
        least: Minimum number of rows and columns, >= 1.

    Returns:
        1, 2, 4 or 8.
    """
    return next((times for times in _TIMES if min(box.height, box.width) // times >= least), 1)
