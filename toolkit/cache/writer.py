"""Fill an entry: rows in order, shard by shard."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.cache.index import Index, shard_name, write_index
from toolkit.cache.shards import ShardFile
from toolkit.core.errors import ToolkitError
from toolkit.core.files import clear_os_errors

_HALF_INFINITY = 0x7C00
_LARGEST_HALF = 65504


class DtypeOverflowError(ToolkitError):
    """Features beyond the range of float16; float32 can hold them."""


@contextmanager
def storing(folder: Path, kept: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn disk errors into a one-line message with the fix.

    Args:
        folder: Folder of the cache.
        kept: Returns a note on what is kept, evaluated at the time of the error.

    Raises:
        ToolkitError: Raised instead of the ``OSError``.
    """
    try:
        with clear_os_errors(f"the feature cache {folder}", place="cache.dir"):
            yield
    except ToolkitError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        raise ToolkitError(error.message + kept(), hint=f"{error.hint}, or use cache.enabled: false") from error
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise
        message = f"cannot write the feature cache {folder}: files of this size are not allowed{kept()}"
        raise ToolkitError(message, hint="raise `ulimit -f`, or use cache.enabled: false") from error


class Writer:
    """Takes the missing rows of an entry in order, and commits them shard by shard.

    Only complete shards count: after an error or a kill they stay, and the next writer continues from there.

    Args:
        folder: The entry's folder; its index is already written.
        index: Index of the intact shards.
        missing: The rows to write, in whole shards.
    """

    def __init__(self, folder: Path, index: Index, missing: Sequence[range]) -> None:
        self.missing = tuple(missing)
        """Ranges of rows to append, in this order; empty when the entry is complete."""
        self._folder = folder
        self._index = index
        self._shard_indices = iter([n for n in range(index.shard_count) if n not in index.shards])
        self._dtype = np.dtype(index.dtype).newbyteorder("<")
        self._shard_index = -1
        self._file: ShardFile | None = None
        self._open = range(0)

    def append(self, block: NDArray[Any]) -> None:
        """Write the next rows.

        Args:
            block: ``[n, *row shape]``, floating point. n is any number that does not exceed the
                current range of ``missing``. NaN and infinity are preserved.

        Raises:
            DtypeOverflowError: A finite number exceeds float16's maximum, 65504. Abandon the entry then, and fill
                another one in float32.
            ToolkitError: The disk is full or not writable. The finished shards stay.
            ValueError: The block has another shape, or rows that are not missing.
        """
        if block.shape[1:] != self._index.shape or block.dtype.kind != "f":
            raise ValueError(f"expected floats [n, {self._index.shape}], found {block.dtype} {block.shape}")
        stored = _converted(block, self._dtype)
        while len(stored):
            if not self._open:
                self._next_shard(len(stored) < len(block))
            taken = min(len(self._open), len(stored))
            with storing(self._folder.parent, self._kept):
                self._write(stored[:taken])
            stored = stored[taken:]

    def _next_shard(self, within_block: bool) -> None:
        shard_index = next(self._shard_indices, None)
        if shard_index is None or (within_block and shard_index != self._shard_index + 1):
            raise ValueError("these rows are not missing")
        self._shard_index, self._open = shard_index, self._index.shard_range(shard_index)

    def _write(self, rows: NDArray[Any]) -> None:
        if self._file is None:
            path = self._folder / shard_name(self._shard_index)
            self._file = ShardFile(path, len(self._open), self._index.shape, self._dtype)
        self._file.write(rows.reshape(-1).view(np.uint8).data)
        self._open = self._open[len(rows) :]
        if not self._open:
            file, self._file = self._file, None
            self._index.shards[self._shard_index] = file.finish()
            write_index(self._folder, self._index)

    def _kept(self) -> str:
        rows = sum(shard.rows for shard in self._index.shards.values())
        return f" ({rows} of {self._index.rows} rows are kept)" if rows else ""

    def close(self) -> None:
        """Discard the unfinished shard, if any."""
        if self._file is not None:
            self._file.discard()
            self._file = None


def _converted(block: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(block, dtype=dtype)
    if dtype.itemsize == 2 and block.dtype.itemsize > 2:
        infinite = (stored.view(np.uint16) & 0x7FFF) == _HALF_INFINITY
        if infinite.any() and np.isfinite(block[infinite]).any():
            values = np.abs(block[infinite])
            largest = values[np.isfinite(values)].max()
            raise DtypeOverflowError(
                f"the features reach {largest:.6g}, beyond float16's maximum {_LARGEST_HALF}",
                hint="use cache.dtype: float32",
            )
    return stored
