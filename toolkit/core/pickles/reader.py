"""A reader for pickles of plain data only.

A pickle names functions that a loader calls, so an untrusted file can run anything. This reader looks names up in a
table of a dozen entries; each maps to code of this package that takes plain data only. Neither Python's unpickler nor
numpy's is used. A name outside the table stops the reading with an error that quotes it.

A few bytes can also demand all memory, or years of work. So a file of N bytes is read in time proportional to N and in
at most ``12 N + 200 MB`` of memory, whatever it contains:

- no read and no array is longer than the file; all arrays together are no larger than it;
- at most ``_MOST_STEPS`` steps are taken, and none takes longer than what it adds;
- dictionary keys are text, bytes or small integers, whose hashes cannot be made slow;
- the result, counting shared items at every occurrence, has no more parts than the file has bytes.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any, BinaryIO

from toolkit.core.pickles.making import (
    Array,
    BadPickleError,
    Call,
    DType,
    Maker,
    RefusedPickleError,
    checked_key,
    shortened,
)

_MOST_STEPS = 500_000
"""Step limit of a pickle: an array takes about 40, the largest CIFAR batch 200,000."""
_MOST_DEPTH = 64
_LONGEST_NUMBER = 64
"""Maximum number of characters of a number written as text."""
_DAMAGED = (ArithmeticError, EOFError, LookupError, MemoryError, struct.error, TypeError, ValueError)


class _Machine:
    """The stack, memo and opcodes of a pickle, as described in the module ``pickletools``.

    Args:
        file: A file positioned at the start of the pickle.
        size: Maximum number of bytes.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.left, self.maker = file, size, size, Maker(size)
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []
        self.memory: dict[int, Any] = {}

    def load(self) -> Any:
        for _ in range(_MOST_STEPS):
            code = self.read(1)
            if code == b".":
                return self.stack.pop()
            if code in _VALUES:
                value = _VALUES[code](self)
                self.stack.append(value)
            elif code in _ACTIONS:
                _ACTIONS[code](self)
            else:
                raise ValueError("not a pickle of plain data")
        raise ValueError(f"more than {_MOST_STEPS:,} steps")

    def read(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise EOFError("truncated, or it claims more data than it has")
        self.left -= count
        return self.file.read(count)

    def line(self) -> bytes:
        line = self.file.readline(self.left)
        self.left -= len(line)
        return line[:-1]

    def number(self, kind: str) -> Any:
        (value,) = struct.unpack(kind, self.read(struct.calcsize(kind)))
        return value

    def text_number(self) -> bytes:
        line = self.line()
        if len(line) > _LONGEST_NUMBER:
            raise ValueError("a number with too many digits")
        return line

    def integer(self) -> int:
        text = self.text_number()
        return {b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text.rstrip(b"L"))

    def quoted(self) -> str:
        text = self.line()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b'"', b"'"):
            raise ValueError("a text without quotes")
        data: bytes = codecs.escape_decode(text[1:-1])[0]
        return data.decode("latin1")

    def unicode(self, kind: str) -> str:
        return self.read(self.number(kind)).decode("utf-8", "surrogatepass")

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def last(self, count: int) -> tuple[Any, ...]:
        if len(self.stack) < count:
            raise IndexError("a step without its arguments")
        return tuple(self.stack.pop() for _ in range(count))[::-1]

    def keep(self, index: int) -> None:
        if not 0 <= index <= self.size:
            raise ValueError("a reference beyond the file")
        self.memory[index] = self.stack[-1]

    def named_by_lines(self) -> Any:
        return self.maker.find(self.line().decode("utf-8"), self.line().decode("utf-8"))

    def named(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        return self.maker.find(module, name)

    def call(self, call: Any, arguments: Any) -> Any:
        if not isinstance(call, Call) or not isinstance(arguments, tuple) or len(arguments) > 4:
            raise ValueError("a call of something that is not a function")
        return call.function(*arguments)

    def build(self) -> None:
        owner, state = self.last(2)
        if not isinstance(owner, (Array, DType)) or not isinstance(state, tuple):
            raise ValueError("a state for something that has none")
        owner.build(state)
        self.stack.append(owner)

    def extend(self, items: list[Any] | tuple[Any, ...]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("items of something that is not a list")
        self.stack[-1].extend(items)

    def update(self, items: list[Any] | tuple[Any, ...]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise ValueError("items of something that is not a dictionary")
        self.stack[-1].update(_pairs(items))

    def object_of_a_class(self) -> None:
        self.named_by_lines()
        raise ValueError("an object of a class")

    def refuse(self, what: str) -> None:
        raise RefusedPickleError(what)


def _pairs(items: list[Any] | tuple[Any, ...]) -> dict[Any, Any]:
    return {checked_key(items[i]): items[i + 1] for i in range(0, len(items), 2)}


_VALUES: dict[bytes, Callable[[_Machine], Any]] = {
    b"N": lambda _: None,
    b"\x88": lambda _: True,
    b"\x89": lambda _: False,
    b"]": lambda _: [],
    b"}": lambda _: {},
    b")": lambda _: (),
    b"K": lambda machine: machine.number("<B"),
    b"M": lambda machine: machine.number("<H"),
    b"J": lambda machine: machine.number("<i"),
    b"G": lambda machine: machine.number(">d"),
    b"I": _Machine.integer,
    b"L": _Machine.integer,
    b"\x8a": lambda machine: int.from_bytes(machine.read(machine.number("<B")), "little", signed=True),
    b"F": lambda machine: float(machine.text_number()),
    b"U": lambda machine: machine.read(machine.number("<B")).decode("latin1"),
    b"T": lambda machine: machine.read(machine.number("<i")).decode("latin1"),
    b"S": _Machine.quoted,
    b"\x8c": lambda machine: machine.unicode("<B"),
    b"X": lambda machine: machine.unicode("<I"),
    b"\x8d": lambda machine: machine.unicode("<Q"),
    b"V": lambda machine: machine.line().decode("raw-unicode-escape"),
    b"C": lambda machine: machine.read(machine.number("<B")),
    b"B": lambda machine: machine.read(machine.number("<I")),
    b"\x8e": lambda machine: machine.read(machine.number("<Q")),
    b"\x96": lambda machine: machine.read(machine.number("<Q")),
    b"l": _Machine.pop_mark,
    b"t": lambda machine: tuple(machine.pop_mark()),
    b"d": lambda machine: _pairs(machine.pop_mark()),
    b"\x85": lambda machine: machine.last(1),
    b"\x86": lambda machine: machine.last(2),
    b"\x87": lambda machine: machine.last(3),
    b"g": lambda machine: machine.memory[int(machine.text_number())],
    b"h": lambda machine: machine.memory[machine.number("<B")],
    b"j": lambda machine: machine.memory[machine.number("<I")],
    b"2": lambda machine: machine.stack[-1],
    b"c": _Machine.named_by_lines,
    b"\x93": lambda machine: machine.named(*machine.last(2)),
    b"R": lambda machine: machine.call(*machine.last(2)),
}
"""Opcodes that push a value onto the stack."""
_ACTIONS: dict[bytes, Callable[[_Machine], Any]] = {
    b"\x80": lambda machine: machine.read(1),
    b"\x95": lambda machine: machine.read(8),  # frames only matter for read-ahead
    b"(": _Machine.mark,
    b"0": lambda machine: machine.stack.pop() if machine.stack else machine.pop_mark(),
    b"1": _Machine.pop_mark,
    b"a": lambda machine: machine.extend(machine.last(1)),
    b"e": lambda machine: machine.extend(machine.pop_mark()),
    b"s": lambda machine: machine.update(machine.last(2)),
    b"u": lambda machine: machine.update(machine.pop_mark()),
    b"b": _Machine.build,
    b"p": lambda machine: machine.keep(int(machine.text_number())),
    b"q": lambda machine: machine.keep(machine.number("<B")),
    b"r": lambda machine: machine.keep(machine.number("<I")),
    b"\x94": lambda machine: machine.keep(len(machine.memory)),
    b"i": _Machine.object_of_a_class,
    b"\x82": lambda machine: machine.refuse("an extension"),
    b"\x83": lambda machine: machine.refuse("an extension"),
    b"\x84": lambda machine: machine.refuse("an extension"),
}
"""Other opcodes."""


class _Tree:
    """Copies the result with shared items expanded, up to as many parts as the file has bytes."""

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
        file: A file positioned at the start of the pickle.
        size: Maximum number of bytes, >= 0.

    Returns:
        Dictionaries, lists, tuples, text, numbers and arrays, nested as in the pickle. Only arrays are shared, so
        walking the result takes no longer than reading it. Python 2 text is decoded as Latin-1.

    Raises:
        RefusedPickleError: The pickle names something that plain data does not need. Nothing it names was imported or
            called.
        BadPickleError: The data is not a pickle, is damaged, or is larger than allowed.
        OSError: The file cannot be read.
    """
    try:
        return _Tree(size).plain(_Machine(file, size).load())
    except _DAMAGED as error:
        raise BadPickleError(shortened(str(error)) or type(error).__name__) from None
