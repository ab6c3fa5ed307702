"""A reader for pickles of plain data, and for nothing else.

A pickle names functions, and a loader calls them: a file from a stranger can run anything. This reader looks names up
in a table of a dozen, each of which stands for code of this module that takes plain data only: numpy's own unpickling
is not used either. A name that is not in the table ends the reading, and the error says which it was.

A few bytes can also ask for all memory, or for years. So a file of N bytes is read in time proportional to N and in at
most ``12 N + 200 MB`` of memory, whatever it says:

- nothing is read, and no array is made, that is longer than the file; all arrays together are no larger than it;
- at most ``_MOST_STEPS`` steps are taken, and none of them takes longer than what it adds;
- keys of dictionaries are text, bytes or small integers, whose hashes nobody can make slow;
- the result, with everything shared counted as often as it appears, has no more parts than the file has bytes.

The loader is the standard library's in Python, not the one in C: a few bytes can make the latter take all memory.
"""

from __future__ import annotations

import codecs
import pickle
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from toolkit.pickles.making import Array, BadPickleError, Call, DType, Maker, RefusedPickleError, checked_key, shortened

__all__ = ["read_plain"]

_MOST_STEPS = 500_000
"""Steps of one pickle; an array takes about 40, and the archives of CIFAR have 30,000 in a batch."""
_MOST_DEPTH = 64
_LONGEST_NUMBER = 64
"""Characters of a number that is written as text."""
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


class _File:
    """A file of which no more is asked than it has: a pickle may claim any length."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.left = file, size

    def read(self, count: int) -> bytes:
        if count > self.left:
            raise EOFError("cut short, or it claims more than it has")
        data = self.file.read(count)
        self.left -= count
        return data

    def readline(self) -> bytes:
        line = self.file.readline(self.left)
        self.left -= len(line)
        return line


class _Unpickler(pickle._Unpickler):
    """Knows what ``paddle.save`` and numpy write (Paddle 1.8 to 3.x, numpy 1 and 2, pickle protocols 0 to 5)."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(_File(file, size), encoding="latin1")
        self.size, self.maker, self.dispatch = size, Maker(size), _Steps()

    def find_class(self, module: str, name: str) -> Any:
        return self.maker.find(module, name)

    def get_extension(self, code: int) -> None:
        raise RefusedPickleError(f"extension {code}")

    def load_inst(self) -> None:
        module, name = (self.readline()[:-1].decode("ascii") for _ in range(2))
        self.find_class(module, name)
        raise ValueError("an object of a class")

    def load_reduce(self) -> None:
        arguments, call = self.stack.pop(), self.stack.pop()
        if not isinstance(call, Call) or not isinstance(arguments, tuple) or len(arguments) > 4:
            raise ValueError("a call of something that is no function")
        self.append(call.function(*arguments))

    def load_build(self) -> None:
        state, owner = self.stack.pop(), self.stack[-1]
        if not isinstance(owner, (Array, DType)) or not isinstance(state, tuple):
            raise ValueError("a state of something that has none")
        owner.build(state)

    def load_bytearray8(self) -> None:
        self.append(self.read(*struct.unpack("<Q", self.read(8))))

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.append({checked_key(items[i]): items[i + 1] for i in range(0, len(items), 2)})

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        owner = self.stack[-1]
        if not isinstance(owner, dict):
            raise ValueError("items of something that is no dictionary")
        for i in range(0, len(items), 2):
            owner[checked_key(items[i])] = items[i + 1]

    def load_int(self) -> None:
        text = self._number()
        self.append({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))

    def load_long(self) -> None:
        self.append(int(self._number().rstrip(b"L")))

    def load_float(self) -> None:
        self.append(float(self._number()))

    def load_get(self) -> None:
        self.append(self.memo[int(self._number())])

    def load_put(self) -> None:
        self._keep(int(self._number()))

    def load_binput(self) -> None:
        self._keep(self.read(1)[0])

    def load_long_binput(self) -> None:
        self._keep(*struct.unpack("<I", self.read(4)))

    def _keep(self, number: int) -> None:
        if not 0 <= number <= self.size:
            raise ValueError("a reference beyond the file")
        self.memo[number] = self.stack[-1]

    def _number(self) -> bytes:
        line = self.readline()
        if len(line) > _LONGEST_NUMBER:
            raise ValueError("a number without end")
        return line[:-1]

    def load_string(self) -> None:
        data = self.readline()[:-1]
        if len(data) < 2 or data[:1] != data[-1:] or data[:1] not in (b'"', b"'"):
            raise ValueError("a text without quotes")
        self.append(codecs.escape_decode(data[1:-1])[0].decode("latin1"))


_OWN = (
    "BUILD", "BYTEARRAY8", "DICT", "FLOAT", "GET", "INST", "INT", "LONG", "BINPUT", "LONG_BINPUT", "PUT", "REDUCE",
    "SETITEM", "SETITEMS", "STRING",
)  # fmt: skip
_AS_USUAL = (
    "APPEND", "APPENDS", "BINBYTES", "BINBYTES8", "BINFLOAT", "BINGET", "BININT", "BININT1", "BININT2", "BINPERSID",
    "BINSTRING", "BINUNICODE", "BINUNICODE8", "DUP", "EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE", "EXT1", "EXT2", "EXT4",
    "FRAME", "GLOBAL", "LIST", "LONG1", "LONG_BINGET", "MARK", "MEMOIZE", "NEWFALSE", "NEWTRUE", "NONE", "PERSID",
    "POP", "POP_MARK", "PROTO", "SHORT_BINBYTES", "SHORT_BINSTRING", "SHORT_BINUNICODE", "STACK_GLOBAL", "STOP",
    "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "UNICODE",
)  # fmt: skip
_CODES: dict[int, Callable[[_Unpickler], None]] = {
    **{getattr(pickle, name)[0]: pickle._Unpickler.dispatch[getattr(pickle, name)[0]] for name in _AS_USUAL},
    **{getattr(pickle, name)[0]: getattr(_Unpickler, f"load_{name.lower()}") for name in _OWN},
}


class _Steps(dict[int, Callable[[_Unpickler], None]]):
    """The table of steps that plain data takes, which counts them."""

    def __init__(self) -> None:
        super().__init__(_CODES)
        self._left = _MOST_STEPS

    def __getitem__(self, code: int) -> Callable[[_Unpickler], None]:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"more than {_MOST_STEPS:,} steps")
        if code not in self:
            raise ValueError("more than plain data")
        return super().__getitem__(code)


class _Tree:
    """Copies what was read, with everything shared written out, as long as it has no more parts than the file."""

    def __init__(self, most: int) -> None:
        self._left = most

    def plain(self, value: Any, depth: int = 0) -> Any:
        self._left -= 1
        if self._left < 0 or depth > _MOST_DEPTH:
            raise ValueError("nested too deeply" if depth > _MOST_DEPTH else "the same parts are used again and again")
        if isinstance(value, Array):
            if value.value is None:
                raise ValueError("an array without data")
            return value.value
        if isinstance(value, dict):
            return {key: self.plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)([self.plain(item, depth + 1) for item in value])
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value
        raise ValueError(f"unexpected {type(value).__name__}")


def read_plain(file: BinaryIO, size: int) -> Any:
    """Read plain data from a pickle.

    Args:
        file: Where the pickle begins.
        size: Bytes that it has at most, >= 0.

    Returns:
        Dictionaries, lists, tuples, text, numbers and arrays, as they were nested. Nothing in it is shared but arrays,
        so that walking through it takes no longer than reading it. Text of Python 2 is decoded as Latin-1.

    Raises:
        RefusedPickleError: The pickle names something that plain data does not need. Nothing that it names was
            imported or called.
        BadPickleError: It is no pickle, is damaged, or larger than it could be.
        OSError: The file cannot be read.
    """
    try:
        return _Tree(size).plain(_Unpickler(file, size).load())
    except _DAMAGED as error:
        raise BadPickleError(shortened(str(error)) or type(error).__name__) from None
