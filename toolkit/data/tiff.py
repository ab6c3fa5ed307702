"""Read the tags of TIFF files, and the pixels of those that are not 8-bit or have unusual channels.

PIL reads 8-bit images. It would keep only the upper byte of 16-bit colours and refuses floating-point ones, so OpenCV
reads those, with the same values in every version. The rest (channels in separate planes; int8, uint32 and float16
colours; more than four bands) needs the package tifffile.
"""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from toolkit.data.bit_depth import RawImage
from toolkit.data.channels import GRAY, RGB, counted
from toolkit.data.orientation import turned

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WIDTH, _LENGTH, _BITS, _PHOTOMETRIC, _SAMPLES, _PLANAR, _EXTRA, _FORMAT = 256, 257, 258, 262, 277, 284, 338, 339
_ORIENTATION, _MAX_SAMPLE, _SMAX_SAMPLE = 274, 281, 341
_PLACES = ((273, 279), (324, 325))  # offsets and lengths of strips, of tiles
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # photometric interpretations
_SEPARATE, _ALPHA = 2, (1, 2)  # separate planes; associated and unassociated alpha
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3  # sample formats
_KINDS = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}
_FOR_OPENCV = frozenset({"u2", "i2", "i4", "f4", "f8"})
_FOR_PIL = frozenset({"u2", "i2", "i4", "u4", "f4"})  # gray
_DAMAGED = (
    OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, RuntimeError, ImportError,
    struct.error, zlib.error,
)  # fmt: skip


class TiffHeader(NamedTuple):
    """The tags of the first page.

    Attributes:
        height: Rows as stored.
        width: Columns as stored.
        samples: Samples per pixel.
        bits: Bits per sample.
        kind: Kind of samples: ``u``, ``i`` or ``f``.
        photometric: Their meaning: 0 and 1 gray, 2 RGB, 3 palette, ...
        alpha: The last sample is alpha.
        planar: Each sample has a separate plane.
        orientation: EXIF orientation.
        highest: Largest declared value; 0 if there is none.
        end: Offset of the end of the pixels, bytes.
    """

    height: int
    width: int
    samples: int
    bits: int
    kind: str
    photometric: int
    alpha: bool
    planar: bool
    orientation: int
    highest: int
    end: int

    @property
    def is_gray(self) -> bool:
        """True for gray, possibly with alpha."""
        return self.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO) and self.samples == GRAY + self.alpha

    @property
    def is_colour(self) -> bool:
        """True for red, green and blue, possibly with alpha or a fourth band that is ignored."""
        return self.photometric == _RGB and self.samples in (RGB, RGB + 1)

    @property
    def is_deep(self) -> bool:
        """True unless samples are unsigned integers of at most 8 bits."""
        return self.bits > 8 or self.kind != "u"

    @property
    def mode(self) -> str:
        """Human-readable kind."""
        kind = {"u": f"{self.bits}-bit ", "i": f"int{self.bits} ", "f": f"float{self.bits} "}[self.kind]
        what = "gray" if self.is_gray else "RGB" if self.is_colour else counted(self.samples)
        return f"{kind}{what}{' + alpha' if self.alpha else ''}"


def read_tags(data: bytes) -> TiffHeader | None:
    """Read the tags of the first page.

    Args:
        data: The whole file.

    Returns:
        The header; None if the tags cannot be read.
    """
    big = data[2:3] == b"+" or data[3:4] == b"+"
    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if big else 8])
        stream = io.BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        return _header(directory)
    except _DAMAGED:
        return None


def _header(tags: Mapping[int, Any]) -> TiffHeader:
    bits = tags.get(_BITS, (1,))
    samples = int(tags.get(_SAMPLES, 1))
    largest = [value for tag in (_MAX_SAMPLE, _SMAX_SAMPLE) for value in _numbers(tags.get(tag, ()))]
    declared = [int(value) for value in largest if value < 2 ** max(bits) - 1]  # otherwise it adds nothing to the bits
    odd = max(bits) not in (1, 2, 4, 8, 16, 32, 64)
    extra = tuple(tags.get(_EXTRA, ()))
    chunks = [zip(tags.get(starts, ()), tags.get(lengths, ()), strict=False) for starts, lengths in _PLACES]
    return TiffHeader(
        height=int(tags[_LENGTH]),
        width=int(tags[_WIDTH]),
        samples=samples,
        bits=max(bits),
        kind=_KINDS.get(next(iter(tags.get(_FORMAT, (_UNSIGNED,)))), "u"),
        photometric=int(tags.get(_PHOTOMETRIC, -1)),
        alpha=samples in (2, 4) and len(extra) == 1 and extra[0] in _ALPHA,
        planar=samples > 1 and tags.get(_PLANAR) == _SEPARATE,
        orientation=int(tags.get(_ORIENTATION, 1)),
        highest=max([2 ** max(bits) - 1 if odd else 0, *declared]),
        end=max((start + length for chunk in chunks for start, length in chunk), default=0),
    )


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(map(float, value)) if isinstance(value, (tuple, list)) else (float(value),)


def read_deep(data: bytes, header: TiffHeader) -> RawImage:
    """Read a TIFF that is not 8-bit or has bands.

    Args:
        data: The whole file.
        header: Its tags.

    Raises:
        ValueError: The file cannot be read; the message is short.
    """
    if header.end > len(data):
        raise ValueError("damaged (it ends too early)")
    kind = f"{header.kind}{header.bits // 8}"
    odd = header.bits not in (8, 16, 32, 64)
    values: npt.NDArray[Any] | None = None
    if header.is_gray and not header.alpha and (kind in _FOR_PIL or odd):
        values = _with_pil(data, kind)
    elif kind in _FOR_OPENCV and not odd and not header.planar and (header.is_colour or header.samples == GRAY):
        values = _with_opencv(data)
    if values is None:
        values = turned(_with_tifffile(data, header), header.orientation)
    if header.is_colour and not header.alpha:
        values = values[:, :, :RGB]
    inverted = header.photometric == _WHITE_IS_ZERO and header.is_gray
    return RawImage(values, header.mode, header.alpha, header.highest, inverted)


def _with_pil(data: bytes, kind: str) -> npt.NDArray[Any] | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()  # PIL applies the orientation tag of a TIFF
            values = np.asarray(image)
    except UnidentifiedImageError:
        return None
    except _DAMAGED as error:
        raise ValueError(f"damaged ({error})") from error
    return values.view(np.uint32) if kind == "u4" else values


def _with_opencv(data: bytes) -> npt.NDArray[Any] | None:
    try:
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # OpenCV applies the orientation tag
    except cv2.error:
        return None
    if values is None or values.ndim == 2:
        return values
    return np.ascontiguousarray(values[:, :, [2, 1, 0, *range(3, values.shape[2])]])


def _with_tifffile(data: bytes, header: TiffHeader) -> npt.NDArray[Any]:
    try:
        tifffile = importlib.import_module("tifffile")
    except ImportError as error:
        raise ValueError(f"{header.mode} TIFF, which needs the package tifffile: pip install tifffile") from error
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            series = file.series[0]
            values, axes = series.asarray(), str(series.axes)
    except _DAMAGED as error:
        raise ValueError(f"unreadable TIFF ({next(iter(str(error).splitlines()), type(error).__name__)})") from error
    return bands_last(values, axes)


def bands_last(values: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    """Convert tifffile's array to ``[H, W, C]``, given its axes: Y, X and any third one for the channels."""
    if values.ndim == 2:
        return values[:, :, None]
    if values.ndim != 3 or not {"Y", "X"} <= set(axes):
        raise ValueError(f"an image with axes {axes}, expected height, width and channels")
    rest = next(position for position, axis in enumerate(axes) if axis not in "YX")
    return np.ascontiguousarray(np.moveaxis(values, rest, -1))
