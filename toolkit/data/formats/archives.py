"""Bounded reading of untrusted gzip, tar and MATLAB files: nothing in them is executed, followed or trusted.

Any size that a file claims is checked against its format before that much is read. Only plain files with expected names
are read from a tar archive; links, devices and paths have no effect, because nothing is written where the archive says.
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
"""Maximum bytes of a MATLAB file, and of its unpacked contents."""
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Data types of MATLAB files (MAT-File Format, The MathWorks, table 1-1)."""
_MATRIX, _PACKED = 14, 15
_NUMERIC_CLASSES = range(6, 16)


class Unpacked:
    """A gunzipped file that is read up to a limit.

    Args:
        file: The unpacked file.
        most: Maximum size in bytes.
    """

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file, self._most, self._left = file, most, most

    def read(self, count: int) -> bytes:
        """Read exactly ``count`` bytes.

        Raises:
            ValueError: The file has fewer, or the limit is exceeded.
        """
        self._left -= count
        if count < 0 or self._left < 0:
            raise ValueError(f"it unpacks to more than {self._most:,} bytes")
        chunks = []
        while count:
            chunk = self._file.read(min(count, _CHUNK))
            if not chunk:
                raise ValueError("cut short")
            chunks.append(chunk)
            count -= len(chunk)
        return b"".join(chunks)

    def skip(self, count: int) -> None:
        """Skip ``count`` bytes."""
        while count > 0:
            count -= len(self.read(min(count, _CHUNK)))

    def is_over(self) -> bool:
        """Return True at the end of the file; otherwise consumes a byte."""
        return not self._file.read(1)

    def finish(self) -> None:
        """Read to the end, where gzip verifies its checksum.

        Raises:
            ValueError: The limit is exceeded.
        """
        while chunk := self._file.read(_CHUNK):
            self._left -= len(chunk)
            if self._left < 0:
                raise ValueError(f"it unpacks to more than {self._most:,} bytes")


@contextmanager
def unpacked(path: Path, most: int) -> Iterator[Unpacked]:
    """Open a file that may be gzipped.

    Args:
        path: The file.
        most: Maximum unpacked size in bytes.

    Raises:
        OSError: The file cannot be read.
        EOFError: The file is truncated.
        zlib.error: The file is damaged.
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
    """A file in a tar archive; read it before requesting the next one.

    Attributes:
        name: Name in the archive.
        found: Match of the pattern in the name.
        size: Size in bytes.
    """

    def __init__(self, name: str, found: re.Match[str], size: int, archive: Unpacked) -> None:
        self.name, self.found, self.size = name, found, size
        self._archive, self.is_read = archive, False

    def read(self) -> bytes:
        """Return the content."""
        self.is_read = True
        return self._archive.read(self.size)


def tar_members(path: Path, pattern: str, *, largest: int, most: int) -> Iterator[Member]:
    """Yield the files in a tar archive whose names match, in the archive's order.

    Args:
        path: The archive, gzipped or not.
        pattern: Regular expression for the whole name, with a group whose match must be unique.
        largest: Maximum size of such a file in bytes.
        most: Maximum unpacked size of the whole archive in bytes.

    Raises:
        ValueError: The archive is damaged or too large, repeats a name, or a matching name is not a plain file.
        OSError, EOFError, zlib.error: As in ``unpacked``.
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
                    raise ValueError(f"{name} occurs twice")
                seen.add(found[1])
                member = Member(name, found, size, archive)
                yield member
                left -= size if member.is_read else 0
            archive.skip(left)


def _read_header(header: bytes) -> tuple[str, str, int]:
    """Return name, kind and size from a header in a tar archive (POSIX.1-1988)."""
    check, size = (int(digits, 8) if digits.isdigit() else -1 for digits in _numbers(header))
    if size < 0 or check != sum(header) - sum(header[148:156]) + 8 * ord(" "):
        raise ValueError("not a tar archive, or damaged")
    name = header[:100].split(b"\0")[0].decode("utf-8", "replace")
    prefix = header[345:500].split(b"\0")[0].decode("utf-8", "replace") if header[257:263] == b"ustar\0" else ""
    kinds = {b"0": "file", b"\0": "file", b"7": "file", b"5": "directory"}
    kind = kinds.get(header[156:157], "a link, a device or something other than a file")
    return (f"{prefix}/{name}" if prefix else name).removeprefix("./"), kind, size


def _numbers(header: bytes) -> tuple[bytes, bytes]:
    """Return checksum and size as octal digits."""
    return header[148:156].strip(b" \0"), header[124:136].strip(b" \0") or b"0"


def matlab_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the numeric arrays of a MATLAB file (version 5), flat, by name.

    Raises:
        ValueError: It is not such a file, is damaged, or is larger than 1 MB.
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
    """Yield type and content of each element of a MATLAB file."""
    position = 0
    while position < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        begin = position + 8
        if kind >> 16:  # a small element: its size and content are in the same eight bytes
            kind, size, begin = kind & 0xFFFF, kind >> 16, position + 4
        small = begin == position + 4
        if size > (4 if small else len(data) - begin):
            raise ValueError("cut short")
        yield kind, data[begin : begin + size]
        position = begin + size if kind == _PACKED else position + 8 + (0 if small else size + -size % 8)


def _matlab_matrix(data: bytes, order: str) -> tuple[str, np.ndarray]:
    elements = list(_elements(data, order))
    (_, flags), (_, sizes), (_, name), (kind, content) = elements[:4]
    if flags[0 if order == "<" else 3] not in _NUMERIC_CLASSES or kind not in _NUMBERS or len(elements) > 4:
        raise ValueError("something other than an array of real numbers")
    array = np.frombuffer(content, np.dtype(order + _NUMBERS[kind]))
    if len(sizes) != 8 or np.prod(np.frombuffer(sizes, f"{order}i4").astype(float)) != len(array):
        raise ValueError("an array whose data and shape differ")
    return name.decode("latin1"), array
