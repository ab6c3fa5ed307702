"""What a pickle of plain data may call: our own code instead of the functions that it names."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

_MOST_DIMENSIONS = 32
_LARGEST_KEY = 2**16
_NDARRAY = "numpy.ndarray"
_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
_NUMPY_CORE = (
    "numpy.core.multiarray",
    "numpy.core.numeric",
    "numpy._core.multiarray",
    "numpy._core.numeric",
)


class BadPickleError(Exception):
    """The data is not a pickle, is damaged, or is more than plain data."""


class RefusedPickleError(BadPickleError):
    """The pickle names something that plain data does not need; the message is that name."""


class DType:
    """A dtype being unpickled."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype) -> None:
        self.value = value

    def build(self, state: Any) -> None:
        """Set the byte order."""
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ValueError("not a plain numeric type")
        self.value = self.value.newbyteorder(order)


class Array:
    """An array being unpickled; complete once it has a value."""

    __slots__ = ("make", "value")

    def __init__(self, make: Callable[..., np.ndarray] | None, value: np.ndarray | None = None) -> None:
        self.make, self.value = make, value

    def build(self, state: Any) -> None:
        """Set shape, dtype and data."""
        _, shape, dtype, fortran, raw = state
        if self.make is None:
            raise ValueError("a number has no state")
        self.value = self.make(raw, dtype, shape, "F" if fortran else "C")


class Call:
    """A function that a pickle may call but not change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class Maker:
    """The functions a pickle may call. Everything they make together is no larger than the file.

    Args:
        size: Bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self._size, self._texts, self._arrays, self._items = size, size, size, size
        functions: dict[tuple[str, str], Callable[..., Any]] = {
            ("builtins", "bytes"): self._bytes,
            ("__builtin__", "bytes"): self._bytes,
            ("_codecs", "encode"): self._encode,
            ("builtins", "tuple"): self._tuple,
            ("__builtin__", "tuple"): self._tuple,
            ("collections", "OrderedDict"): self._dictionary,
            ("numpy", "dtype"): self._dtype,
            ("numpy.core", "_reconstruct"): self._reconstruct,
            ("numpy.core", "_frombuffer"): self._frombuffer,
            ("numpy.core", "scalar"): self._scalar,
        }
        self._known: dict[tuple[str, str], Any] = {name: Call(function) for name, function in functions.items()}
        self._known["numpy", "ndarray"] = _NDARRAY

    def find(self, module: str, name: str) -> Any:
        """Resolve a name."""
        place = ("numpy.core" if module in _NUMPY_CORE else module, name)
        if place not in self._known:
            raise RefusedPickleError(shortened(f"{module}.{name}"))
        return self._known[place]

    def _bytes(self) -> bytes:
        return b""

    def _encode(self, text: Any, encoding: Any) -> bytes:
        if encoding != "latin1":
            raise ValueError("unexpected encoding")
        self._texts -= len(text)
        if self._texts < 0:
            raise ValueError("the same text is used again and again")
        data: bytes = text.encode("latin1")
        return data

    def _tuple(self, items: Any) -> tuple[Any, ...]:
        return tuple(self._counted(items))

    def _dictionary(self, items: Any = ()) -> dict[Any, Any]:
        return {checked_key(key): value for key, value in self._counted(items)}

    def _counted(self, items: Any) -> Any:
        if not isinstance(items, (list, tuple)):
            raise ValueError("not a sequence")
        self._items -= len(items)
        if self._items < 0:
            raise ValueError("the same items are used again and again")
        return items

    def _dtype(self, code: Any, align: Any = False, copy: Any = False) -> DType:
        if code not in _NUMBERS:
            raise ValueError("an array of something other than numbers")
        return DType(np.dtype(code))

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> Array:
        if kind != _NDARRAY:
            raise ValueError("unexpected kind of array")
        return Array(self._array)

    def _frombuffer(self, raw: Any, dtype: Any, shape: Any, order: Any) -> Array:
        return Array(None, self._array(raw, dtype, shape, order))

    def _scalar(self, dtype: Any, raw: Any) -> Array:
        return Array(None, self._array(raw, dtype, (), "C"))

    def _array(self, raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
        if not isinstance(dtype, DType) or order not in ("C", "F"):
            raise ValueError("not an array of numbers")
        sizes = self._checked_shape(shape)
        if prod(sizes) * dtype.value.itemsize != len(raw):
            raise ValueError("the array's data and its shape differ")
        self._arrays -= len(raw)
        if self._arrays < 0:
            raise ValueError("the arrays are larger than the file")
        if isinstance(raw, str):  # Python 2 wrote text
            raw = raw.encode("latin1")
        array = np.frombuffer(raw, dtype=dtype.value).reshape(sizes, order="F" if order == "F" else "C")
        return array.astype(dtype.value.newbyteorder("="))

    def _checked_shape(self, shape: Any) -> tuple[int, ...]:
        if not isinstance(shape, (list, tuple)) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError("not the shape of an array")
        if not all(type(size) is int and 0 <= size <= self._size for size in shape):
            raise ValueError("a shape that is larger than the file")
        return tuple(shape)


def checked_key(key: Any) -> Any:
    """Refuse keys that hash slowly: text has a random hash, but nested tuples take forever."""
    if isinstance(key, (str, bytes)) or (isinstance(key, int) and abs(key) <= _LARGEST_KEY):
        return key
    raise ValueError("an unexpected key of a dictionary")


def shortened(text: str) -> str:
    """Untrusted text for a one-line message: at most 80 characters, with unprintable ones escaped."""
    text = text if len(text) <= 80 else f"{text[:80]}..."
    return text if text.isprintable() else ascii(text)
