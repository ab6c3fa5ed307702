"""Read ``.npy`` files: ``[H, W]`` or ``[H, W, C]`` of integers or floats; gray, RGB or any number of channels."""

from __future__ import annotations

import io
import struct
import tokenize
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.data.bit_depth import RawImage

_NPY = b"\x93NUMPY"
_DAMAGED = (
    ValueError,
    TypeError,
    SyntaxError,
    OSError,
    OverflowError,
    MemoryError,
    struct.error,
    tokenize.TokenError,
)  # fmt: skip - raised when reading a header
_MODES = {1: "gray", 3: "RGB"}


def is_array(data: bytes) -> bool:
    """Return True for the bytes of a ``.npy`` file."""
    return data.startswith(_NPY)


def read_array(data: bytes) -> RawImage:
    """Read a ``.npy`` file.

    Args:
        data: The whole file.

    Raises:
        ValueError: The file is damaged or not an image; the message is short.
    """
    values = _load(data)
    if values.ndim not in (2, 3) or not values.size:
        raise ValueError(f"an array {list(values.shape)}, expected [H, W] or [H, W, C]")
    channels = 1 if values.ndim == 2 else values.shape[2]
    kind = "" if values.dtype == np.uint8 else f"{values.dtype.name} "
    return RawImage(np.ascontiguousarray(values), kind + _MODES.get(channels, f"{channels} channels"))


def _load(data: bytes) -> npt.NDArray[Any]:
    """Return the array, allocating no more memory than the file has values."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)  # type: ignore[no-untyped-call, unused-ignore]
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)  # type: ignore[no-untyped-call, unused-ignore]
        if dtype.hasobject:
            raise ValueError("it holds Python objects")
        values = np.frombuffer(data, dtype, offset=stream.tell())
        count = int(np.prod(shape, dtype=object))
        if values.size < count:
            raise ValueError("it ends too early")
        return values[:count].reshape(shape, order="F" if fortran else "C")
    except _DAMAGED as error:
        raise ValueError(f"damaged ({next(iter(str(error).splitlines()), type(error).__name__)})") from error
