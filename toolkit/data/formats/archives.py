"""Archives of strangers, read in bounds: gzip, tar and MATLAB files, of which nothing is run, followed or believed.

What a file claims of itself is held against what its format allows before anything of that size is read. Of a tar
archive only plain files with wanted names are read; links, devices and paths mean nothing here, as nothing is put where
the archive says.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

_GZIP = b"\x1f\x8b"
_BLOCK = 512
_CHUNK = 2**20
_MATLAB_LIMIT = 2**20
"""Bytes of a MATLAB file, and of what is packed in it."""
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Data types of MATLAB files (MAT-File Format, The MathWorks, table 1-1)."""
_MATRIX, _PACKED = 14, 15
_NUMERIC_CLASSES = range(6, 16)


class Unpacked:
    """A file without its gzip compression, of which no more is read than a limit.

    Args:
        file: The unpacked file.
        most: Bytes that it may have.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most, self._left = file, most, most

    def read(self, count: int) -> bytes:
        """Exactly so many bytes.

        Raises:
            ValueError: The file has fewer, or the limit is reached.
        """
        self._left -= count
        if count < 0 or self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes")
        parts = []
        while count:
            part = self._file.read(min(count, _CHUNK))
            if not part:
                raise ValueError("cut short")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def skip(self, count: int) -> None:
        """Pass over so many bytes."""
        while count > 0:
            count -= len(self.read(min(count, _CHUNK)))

    def is_over(self) -> bool:
        """Whether nothing is left; takes a byte when there is."""
        return not self._file.read(1)

    def finish(self) -> None:
        """Go to the end, where gzip says whether all was right.

        Raises:
            ValueError: The limit is reached.
        """
        while part := self._file.read(_CHUNK):
            self._left -= len(part)
            if self._left < 0:
                raise ValueError(f"it unpacks to more than {self._most:,} bytes")


@contextmanager
def unpacked(path: Path, most: int) -> Iterator[Unpacked]:
    """Open a file, packed by gzip or not.

    Args:
        path: The file.
        most: Bytes that it may have when it is unpacked.

    Raises:
        OSError: It cannot be read.
        EOFError: It is cut short.
        zlib.error: It is damaged.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        if not packed:
            yield Unpacked(raw, most)
            return
        with gzip.GzipFile(fileobj=raw) as file:
            yield Unpacked(file, most)  # type: ignore[arg-type]


class Member:
    """A file in a tar archive, to be read before the next one is asked for.

    Attributes:
        name: As the archive says it.
        found: What the pattern found in it.
        size: Bytes.
    """

    def __init__(self, name: str, found: re.Match[str], size: int, archive: Unpacked) -> None:
        self.name, self.found, self.size = name, found, size
        self._archive, self.is_read = archive, False

    def read(self) -> bytes:
        """Its content."""
        self.is_read = True
        return self._archive.read(self.size)


def tar_members(path: Path, pattern: str, *, largest: int, most: int) -> Iterator[Member]:
    """The files in a tar archive whose names match, in the archive's order.

    Args:
        path: The archive, packed by gzip or not.
        pattern: Regular expression for the whole name, with a group for what is there once only.
        largest: Bytes that such a file may have.
        most: Bytes that the whole archive may have when it is unpacked.

    Raises:
        ValueError: The archive is damaged or too large, has a name twice, or such a name is no plain file.
        OSError, EOFError, zlib.error: As ``unpacked`` raises them.
    """
    seen = set()
    with unpacked(path, most) as archive:
        while True:
            header = archive.read(_BLOCK)
            if not header.strip(b"\0"):
                archive.finish()
                return
            name, kind, size = _read_header(header)
            found = re.fullmatch(pattern, name)
            left = size + -size % _BLOCK
            if found and kind != "directory":
                if kind != "file":
                    raise ValueError(f"{name} is {kind}")
                if size > largest:
                    raise ValueError(f"{name} is larger than {largest:,} bytes")
                if found[1] in seen:
                    raise ValueError(f"{name} is there twice")
                seen.add(found[1])
                member = Member(name, found, size, archive)
                yield member
                left -= size if member.is_read else 0
            archive.skip(left)


def _read_header(header: bytes) -> tuple[str, str, int]:
    """Name, kind and size from the header of a tar archive (POSIX.1-1988)."""
    check, size = (int(digits, 8) if digits.isdigit() else -1 for digits in _numbers(header))
    if size < 0 or check != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise ValueError("not a tar archive, or damaged")
    name = header[:100].split(b"\0")[0].decode("utf-8", "replace")
    prefix = header[345:500].split(b"\0")[0].decode("utf-8", "replace") if header[257:263] == b"ustar\0" else ""
    kinds = {b"0": "file", b"\0": "file", b"7": "file", b"5": "directory"}
    kind = kinds.get(header[156:157], "a link, a device or something else than a file")
    return (f"{prefix}/{name}" if prefix else name).removeprefix("./"), kind, size


def _numbers(header: bytes) -> tuple[bytes, bytes]:
    """Checksum and size as octal digits."""
    return header[148:156].strip(b" \0"), header[124:136].strip(b" \0") or b"0"


def matlab_arrays(path: Path) -> dict[str, np.ndarray]:
    """The numeric arrays of a MATLAB file (version 5), flat, by name.

    Raises:
        ValueError: It is something else, is damaged, or has more than 1 MB.
        OSError, zlib.error: It cannot be read or unpacked.
    """
    with path.open("rb") as file:
        data = file.read(_MATLAB_LIMIT + 1)
    if len(data) > _MATLAB_LIMIT:
        raise ValueError(f"it has more than {_MATLAB_LIMIT:,} bytes")
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError("not a MATLAB file of version 5")
    arrays, left = {}, _MATLAB_LIMIT
    for kind, content in _elements(data[128:], order):
        if kind == _PACKED:
            packer = zlib.decompressobj()
            content = packer.decompress(content, left + 1)
            left -= len(content)
            if left < 0 or not packer.eof:
                raise ValueError(f"cut short, or it unpacks to more than {_MATLAB_LIMIT:,} bytes")
            kind, content = next(_elements(content, order))
        if kind == _MATRIX:
            name, array = _matlab_matrix(content, order)
            arrays[name] = array
    return arrays


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of the elements of a MATLAB file, one after another."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        begin = place + 8
        if kind >> 16:  # a small element: its size and content are in the same eight bytes
            kind, size, begin = kind & 0xFFFF, kind >> 16, place + 4
        if size > (4 if begin == place + 4 else len(data) - begin):
            raise ValueError("cut short")
        yield kind, data[begin : begin + size]
        place = begin + size if kind == _PACKED else place + 8 + (0 if begin == place + 4 else size + -size % 8)


def _matlab_matrix(data: bytes, order: str) -> tuple[str, np.ndarray]:
    parts = list(_elements(data, order))
    (_, flags), (_, sizes), (_, name), (kind, content) = parts[:4]
    if flags[0 if order == "<" else 3] not in _NUMERIC_CLASSES or kind not in _NUMBERS or len(parts) > 4:
        raise ValueError("something else than an array of real numbers")
    array = np.frombuffer(content, np.dtype(order + _NUMBERS[kind]))
    if len(sizes) != 8 or np.prod(np.frombuffer(sizes, f"{order}i4").astype(float)) != len(array):
        raise ValueError("an array whose data and shape differ")
    return name.decode("latin1"), array
