"""A reader for the pickles that ``paddle.save`` writes, and for nothing else.

A pickle names functions, and a loader calls them: a weights file from a stranger can run anything. This reader looks
names up in a table of a dozen, each of which stands for code of this module that takes plain data only: numpy's own
unpickling is not used either. A name that is not in the table ends the reading, and the error says which it was.

The loader is the standard library's in Python, not the one in C: a few bytes can make the latter take all memory.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from toolkit.errors import WeightsError

__all__ = ["read_pickle"]

_NDARRAY = "numpy.ndarray"
_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16")
_NUMPY_CORE = (
    "numpy.core.multiarray",
    "numpy.core.numeric",
    "numpy._core.multiarray",
    "numpy._core.numeric",
)
_DAMAGED = (
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
)


class _RefusedError(Exception):
    """A name that no weights file needs."""


class _DType:
    """A number type on its way out of a pickle."""

    __slots__ = ("value",)

    def __init__(self, value: np.dtype) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        if order not in ("<", ">", "=", "|") or any(part is not None for part in state[2:5]):
            raise ValueError("not a plain number type")
        self.value = self.value.newbyteorder(order)


class _Array:
    """An array on its way out of a pickle."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: np.ndarray | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self.value = _to_array(raw, dtype, shape, "F" if fortran else "C")


def _to_array(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, _DType) or order not in ("C", "F"):
        raise ValueError("not an array of numbers")
    if isinstance(raw, str):  # Python 2 wrote text
        raw = raw.encode("latin1")
    sizes = tuple(int(size) for size in shape)
    if min(sizes, default=0) < 0 or prod(sizes) * dtype.value.itemsize != len(raw):
        raise ValueError("the array's data and its shape differ")
    array = np.frombuffer(raw, dtype=dtype.value).reshape(sizes, order="F" if order == "F" else "C")
    return array.astype(dtype.value.newbyteorder("="))


def _bytes() -> bytes:
    return b""


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError("unexpected encoding")
    return text.encode("latin1")


def _dtype(code: str, align: Any = False, copy: Any = False) -> _DType:
    if code not in _NUMBERS:
        raise ValueError(f"unexpected array of type {code}")
    return _DType(np.dtype(code))


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Array:
    if kind != _NDARRAY:
        raise ValueError("unexpected kind of array")
    return _Array()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _to_array(raw, dtype, shape, order)
    return array


def _scalar(dtype: Any, raw: Any) -> _Array:
    array = _Array()
    array.value = _to_array(raw, dtype, (), "C")
    return array


class _Call:
    """A function that a pickle may call, and cannot change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a function has no state")


class _File:
    """A file of which no more is asked than it has: a pickle may claim any length."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def read(self, count: int) -> bytes:
        return self.file.read(min(count, self.size))

    def readline(self) -> bytes:
        return self.file.readline()

    def readinto(self, buffer: Any) -> int:
        raise ValueError("weights have no byte arrays")


class _Unpickler(pickle._Unpickler):
    """Knows what ``paddle.save`` writes (Paddle 1.8 to 3.x, numpy 1 and 2, pickle protocols 2 to 5)."""

    def find_class(self, module: str, name: str) -> Any:
        if module in _NUMPY_CORE:
            module = "numpy.core"
        known: dict[tuple[str, str], Any] = {
            ("builtins", "bytes"): _Call(_bytes),
            ("__builtin__", "bytes"): _Call(_bytes),
            ("_codecs", "encode"): _Call(_encode),
            ("builtins", "tuple"): tuple,
            ("__builtin__", "tuple"): tuple,
            ("collections", "OrderedDict"): dict,
            ("numpy", "dtype"): _Call(_dtype),
            ("numpy", "ndarray"): _NDARRAY,
            ("numpy.core", "_reconstruct"): _Call(_reconstruct),
            ("numpy.core", "_frombuffer"): _Call(_frombuffer),
            ("numpy.core", "scalar"): _Call(_scalar),
        }
        if (module, name) not in known:
            raise _RefusedError(f"{module}.{name}")
        return known[module, name]

    def get_extension(self, code: int) -> None:
        raise _RefusedError(f"extension {code}")


def read_pickle(path: str | Path) -> Any:
    """Read plain data from a pickle.

    Args:
        path: A file that ``paddle.save`` wrote: weights, or the state of an optimizer.

    Returns:
        Dictionaries, lists, tuples, text, numbers and arrays, as they were nested.

    Raises:
        WeightsError: The file is no pickle, is damaged, or names something that plain data does not need. Nothing
            that the file names was imported or called.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _plain(_Unpickler(_File(file, path.stat().st_size), encoding="latin1").load())
    except _RefusedError as error:
        raise WeightsError(
            f"{path} was refused: it asks for {error}, which weights never need",
            hint="the file may be harmful; nothing in it was run; use weights from a source that you trust",
        ) from None
    except OSError as error:
        raise WeightsError(f"cannot read weights {path}: {error.strerror}") from error
    except _DAMAGED as error:
        raise WeightsError(
            f"{path} is not a weights file, or is damaged ({str(error) or type(error).__name__})",
            hint="expected a .pdparams or .safetensors file",
        ) from error


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without data")
        return value.value
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        return value
    raise ValueError(f"unexpected {type(value).__name__}")
