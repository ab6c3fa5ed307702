"""Filling an entry: rows in order, a shard at a time."""

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
    """Features that float16 cannot hold; float32 can."""


@contextmanager
def storing(folder: Path, kept: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Turn what a disk can answer into one clear line with the cure.

    Args:
        folder: The cache.
        kept: What to say of the part that stays, at the time of the error.

    Raises:
        ToolkitError: In place of the ``OSError``.
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
    """Takes the missing rows of an entry in order, and makes them durable shard by shard.

    A shard counts once it is whole: at an error or a kill the shards before it stay, and the next writer goes on there.

    Args:
        folder: The entry; its index is written already.
        index: The shards that are good.
        missing: The rows to come, which begin and end with shards.
    """

    def __init__(self, folder: Path, index: Index, missing: Sequence[range]) -> None:
        self.missing = tuple(missing)
        """Ranges of rows to append, in this order; empty when the entry is complete."""
        self._folder = folder
        self._index = index
        self._numbers = iter([n for n in range(index.shard_count) if n not in index.shards])
        self._dtype = np.dtype(index.dtype).newbyteorder("<")
        self._number = -1
        self._file: ShardFile | None = None
        self._open = range(0)

    def append(self, block: NDArray[Any]) -> None:
        """Write the next rows.

        Args:
            block: ``[n, *shape of a row]``, floating point. n is any number that does not pass the end of the
                current range of ``missing``. NaN and infinity are kept as they are.

        Raises:
            DtypeOverflowError: A finite number is beyond float16's largest, 65504. The entry is then best left
                alone, and another one filled in float32.
            ToolkitError: The disk is full, or cannot be written. The finished shards stay.
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
        number = next(self._numbers, None)
        if number is None or (within_block and number != self._number + 1):
            raise ValueError("these rows are not missing")
        self._number, self._open = number, self._index.shard_range(number)

    def _write(self, rows: NDArray[Any]) -> None:
        if self._file is None:
            path = self._folder / shard_name(self._number)
            self._file = ShardFile(path, len(self._open), self._index.shape, self._dtype)
        self._file.write(rows.reshape(-1).view(np.uint8).data)
        self._open = self._open[len(rows) :]
        if not self._open:
            file, self._file = self._file, None
            self._index.shards[self._number] = file.finish()
            write_index(self._folder, self._index)

    def _kept(self) -> str:
        rows = sum(shard.rows for shard in self._index.shards.values())
        return f" ({rows} of {self._index.rows} rows are kept)" if rows else ""

    def close(self) -> None:
        """Throw away the shard that is not whole, if there is one."""
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
                f"the features reach {largest:.6g}, and float16 ends at {_LARGEST_HALF}",
                hint="use cache.dtype: float32",
            )
    return stored
