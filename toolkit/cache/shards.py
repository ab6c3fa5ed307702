"""Files of rows: written with a checksum under a temporary name, and verified before use."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from toolkit.cache.index import DamagedIndexError, Index, Shard, read_index, shard_name
from toolkit.core.console import warn
from toolkit.core.files import atomic_file

_CHUNK = 1 << 20
Signature = tuple[int, int, int]


class _Unfinished(Exception):
    """Makes ``atomic_file`` discard the file."""


class ShardFile:
    """A ``.npy`` file being written.

    Args:
        path: The final path.
        rows: Number of rows in the finished file.
        shape: Shape of one row.
        dtype: Type of the numbers.
    """

    def __init__(self, path: Path, rows: int, shape: tuple[int, ...], dtype: np.dtype[np.floating]) -> None:
        self._stack = ExitStack()
        self._file = self._stack.enter_context(self._stack.enter_context(atomic_file(path)).open("xb", buffering=0))
        self._rows, self._crc, self._bytes = rows, 0, 0
        header = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": (rows, *shape)}
        try:
            np.lib.format.write_array_header_1_0(self, header)
        except BaseException:
            self.discard()
            raise

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            OSError: The disk is full, or another write error.
        """
        view = memoryview(data)
        self._crc = zlib.crc32(view, self._crc)
        self._bytes += len(view)
        while len(view):
            view = view[self._file.write(view) :]

    def finish(self) -> Shard:
        """Flush the file to disk and move it into place."""
        self._stack.close()
        return Shard(self._rows, self._bytes, f"{self._crc:08x}")

    def discard(self) -> None:
        """Discard the file."""
        error = _Unfinished()
        self._stack.__exit__(_Unfinished, error, None)


class Checks:
    """Checks entries, each file once: results are remembered until the file changes."""

    def __init__(self) -> None:
        self._found: dict[Path, tuple[Signature, str | None]] = {}

    def index(self, folder: Path) -> Index | None:
        """The index of an entry; None if there is none or it is damaged (reported once)."""
        path = folder / "entry.json"
        try:
            return read_index(folder)
        except DamagedIndexError as error:
            signature = _signature(path)
            if self._found.get(path) != (signature, str(error)):
                warn(f"feature cache {folder.name}: {error}; ignoring it")
            self._found[path] = (signature, str(error))
            return None

    def good(self, folder: Path, index: Index) -> set[int]:
        """Indices of the intact shards; others are reported once."""
        good = set()
        for shard_index, shard in index.shards.items():
            path = folder / shard_name(shard_index)
            before = self._found.get(path)
            problem = self.problem(path, shard, index, shard_index)
            if problem is None:
                good.add(shard_index)
            elif before != self._found.get(path):
                warn(f"feature cache {folder.name}: {path.name} {problem}; computing it again")
        return good

    def problem(self, path: Path, shard: Shard, index: Index, shard_index: int) -> str | None:
        """What is wrong with a shard, in words; None if it is intact."""
        signature = _signature(path)
        if path not in self._found or self._found[path][0] != signature:
            self._found[path] = (signature, _problem(path, shard, len(index.shard_range(shard_index))))
        return self._found[path][1]


def _signature(path: Path) -> Signature:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return 0, 0, 0
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _problem(path: Path, shard: Shard, rows: int) -> str | None:
    if shard.rows != rows:
        return f"has {shard.rows} rows, not {rows}"
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            return f"has {size} bytes, not {shard.bytes}"
        return None if _crc32(path) == shard.crc32 else "is damaged (wrong checksum)"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _crc32(path: Path) -> str:
    crc = 0
    block = bytearray(_CHUNK)
    view = memoryview(block)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(block):
            crc = zlib.crc32(view[:size], crc)
    return f"{crc:08x}"
