"""Hostile pickles run nothing, and reading one costs time and memory bounded by its size."""

from __future__ import annotations

import io
import pickle
import random
import time
import tracemalloc
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from toolkit.core.pickles import BadPickleError, RefusedPickleError, read_plain

MIB = 2**20
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n"
DTYPE = b"cnumpy\ndtype\n(U\x02i1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
"""A number type, int8."""
FROMBUFFER = b"cnumpy.core.numeric\n_frombuffer\n"


def read(data: bytes) -> Any:
    return read_plain(io.BytesIO(data), len(data))


def text(data: bytes) -> bytes:
    return b"X" + len(data).to_bytes(4, "little") + data


def raw(data: bytes) -> bytes:
    return b"B" + len(data).to_bytes(4, "little") + data


def shape(*sizes: int) -> bytes:
    return b"(" + b"".join(b"\x8a\x09" + size.to_bytes(9, "little") for size in sizes) + b"t"


def colliding(count: int) -> list[int]:
    """Integers with the same hash."""
    return [i * (2**61 - 1) for i in range(1, count)]


HOSTILE: dict[str, bytes] = {
    # a few bytes that claim to be many
    **{f"claims with {code!r}": b"\x80\x05" + code + size + b"abc." for code, size in {
        b"B": b"\xff\xff\xff\x7f", b"\x8e": b"\xff" * 7 + b"\x0f", b"T": b"\xff\xff\xff\x7f", b"X": b"\xff\xff\xff\x7f",
        b"\x8d": b"\xff" * 7 + b"\x0f", b"\x95": b"\xff" * 7 + b"\x0f", b"\x8b": b"\xff\xff\xff\x7f",
        b"\x96": b"\xff" * 7 + b"\x0f", b"T ": b"\xff\xff\xff\xff",
    }.items()},
    "a reference far away": b"Nr\xff\xff\xff\xffj\xff\xff\xff\xff.",
    "a reference farther away": b"Np" + b"9" * 60 + b"\n.",
    "a negative reference": b"Np-1\n.",
    "an array that claims much": FROMBUFFER + b"(C\x01a" + DTYPE + shape(2**60) + b"U\x01CtR.",
    "an empty array that claims much": FROMBUFFER + b"(C\x00" + DTYPE + shape(0, 2**60) + b"U\x01CtR.",
    "an empty array of many dimensions": FROMBUFFER + b"(C\x00" + DTYPE + shape(*[0] * 200) + b"U\x01CtR.",
    # the same object many times
    "lists that double": b"]q\x00" + b"".join(b"0(h%ch%clq%c" % (i, i, i + 1) for i in range(200)) + b".",
    "tuples that double": b")q\x00" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200)) + b".",
    "a key that doubles": b")q\x00" + b"".join(b"0h%ch%c\x86q%c" % (i, i, i + 1) for i in range(200)) + b"0}h\xc8Ns.",
    "a list in itself": b"]q\x00h\x00a.",
    "a dictionary in itself": b"}q\x00K\x01h\x00s.",
    "a type that doubles": b"]q\x00" + b"".join(b"0(h%ch%clq%c" % (i, i, i + 1) for i in range(60))
    + b"0cnumpy\ndtype\nh\x3c\x85R.",
    "one text encoded often": text(b"a" * 200_000) + b"q\x00]" + b"c_codecs\nencode\nq\x010("
    + b"h\x01h\x00U\x06latin1\x86R" * 20_000 + b"l.",
    "one list copied often": b"]q\x00(" + b"N" * 100_000 + b"e0cbuiltins\ntuple\nq\x010(" + b"h\x01h\x00\x85R" * 20_000
    + b"l.",
    "one dictionary made often": b"]q\x00(" + b"K\x01N\x86" * 50_000 + b"e0ccollections\nOrderedDict\nq\x010("
    + b"h\x01h\x00\x85R" * 20_000 + b"l.",
    "one data for many arrays": raw(bytes(200_000)) + b"q\x000" + DTYPE + b"q\x010" + FROMBUFFER + b"q\x020("
    + (b"h\x02(h\x00h\x01" + shape(200_000) + b"U\x01CtR") * 20_000 + b"l.",
    "one shape for many arrays": b"(" + b"K\x00" * 100_000 + b"tq\x000" + DTYPE + b"q\x010" + FROMBUFFER + b"q\x020("
    + b"h\x02(C\x00h\x01h\x00U\x01CtR" * 20_000 + b"l.",
    "one argument for many calls": b"(" + b"N" * 100_000 + b"tq\x000ccollections\nOrderedDict\nq\x010("
    + b"h\x01h\x00R" * 20_000 + b"l.",
    # many objects from few bytes
    "lists": b"(" + b"]" * 2_000_000 + b"l.",
    "dictionaries": b"(" + b"}" * 2_000_000 + b"l.",
    "sets": b"(" + b"\x8f" * 2_000_000 + b"l.",
    "marks": b"(" * 2_000_000 + b"N.",
    "references": b"N" + b"\x94" * 2_000_000 + b".",
    "a list in a list": b"]" * 200_000 + b"a" * 199_999 + b".",
    "a stack of the same": b"N" + b"2" * 2_000_000 + b".",
    # slow numbers and keys
    "a long number as text": b"I" + b"9" * 2_000_000 + b"\n.",
    "a longer number as text": b"L" + b"9" * 2_000_000 + b"L\n.",
    "a long fraction": b"F" + b"9" * 2_000_000 + b"\n.",
    "a long number": b"\x8b" + (2_000_000).to_bytes(4, "little") + b"\x7f" * 2_000_000 + b".",
    "keys of one hash": b"}("
    + b"".join(b"\x8a\x0a" + i.to_bytes(10, "little") + b"N" for i in colliding(50_000)) + b"u.",
    "references of one hash": b"N" + b"".join(b"p%d\n" % i for i in colliding(50_000)) + b".",
    # other objects
    "an array as a key": b"}" + FROMBUFFER + b"(C\x00" + DTYPE + shape(0) + b"U\x01CtRNs.",
    "an array without data": ARRAY + b"(cnumpy\nndarray\nK\x00\x85U\x01btR.",
    "a function as a value": b"]ccollections\nOrderedDict\na.",
    "a truncated number": b"\x80\x04\x95",
    "nothing on the stack": b"R.",
}  # fmt: skip


LONG = ("lists", "dictionaries", "references")
"""A second or more each; ``sets`` and ``marks`` are like them."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in HOSTILE])
def test_a_hostile_pickle_costs_no_more_than_its_size(name: str) -> None:
    data = HOSTILE[name]
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(BadPickleError) as caught:
            read(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
    assert peak < min(300 * len(data) + MIB, 12 * len(data) + 200 * MIB), f"{peak:,} bytes for {len(data):,}"
    assert time.process_time() - began < 20, "including tracemalloc; unbounded ones take minutes"


def test_text_of_wide_characters_costs_a_few_times_its_size() -> None:
    content = {"a": "x" * MIB + "\N{PILE OF POO}", "b": b"x" * MIB, "c": np.zeros(MIB, np.int8)}
    for protocol in range(6):
        data = pickle.dumps(content, protocol)
        tracemalloc.start()
        found = read(data)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found["a"] == content["a"]
        assert peak < 12 * len(data), protocol


def test_unknown_names_fit_on_one_line() -> None:
    for name in ("\x1b[31m", "a\nb", "a" * 10**6):
        stack = text(b"os") + text(name.encode()) + b"\x93."
        with pytest.raises(RefusedPickleError) as caught:
            read(stack)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 200
    for data in (b"cos\nsystem\n.", b"(S'true'\nios\nsystem\n.", text(b"os") + text(b"system") + b"\x93."):
        with pytest.raises(RefusedPickleError, match=r"os\.system"):
            read(data)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_data_is_read_as_python_reads_it(protocol: int) -> None:
    shared = (1, 2)
    content = OrderedDict(
        numbers=[0, 1, -1, 255, 256, 2**31, -(2**31), 2**64, -(2**100), 0.5, float("inf"), True, False, None],
        text=["", "über", "\u4e2d", "\N{PILE OF POO}", "a\nb'\"\\", "x" * 300],
        data=[b"", b"\x00\xff", b"x" * 300],
        nested={"a": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, {3: {b"k": "v"}}]},
        shared=[shared, shared],
        many=list(range(3000)),
    )
    assert read(pickle.dumps(content, protocol)) == content
    data = pickle.dumps({"w": np.arange(100_000.0), "s": np.float32(2)}, protocol)
    found = read(data + b"what follows is not read")
    np.testing.assert_array_equal(found["w"], np.arange(100_000.0))
    assert found["s"] == 2


def test_damaged_pickles_raise_no_other_error() -> None:
    state = {f"layer{i}.weight": np.full((3, 4), i, "float32") for i in range(5)} | {"n": ("x", np.float64(2))}
    chance = random.Random(0)
    for protocol in range(6):
        whole = pickle.dumps(state, protocol)
        for turn in range(150):
            damaged = bytearray(whole[: chance.randrange(len(whole))] if turn % 3 == 0 else whole)
            for _ in range(chance.randint(1, 4)):
                if damaged:
                    damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            tracemalloc.start()
            try:
                read(bytes(damaged))
            except BadPickleError:
                pass
            finally:
                _, peak = tracemalloc.get_traced_memory()
                tracemalloc.stop()
            assert peak < 300 * len(whole) + MIB
