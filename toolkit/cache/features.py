"""Rows read from shards in constant memory: small entries are memory-mapped, large ones read row by row."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from toolkit.cache.index import Index, shard_name

_MAPPED = 64 * 2**20
"""Largest entry to map, in bytes. Mapped pages count as process memory, and Linux maps far more than is touched
(400 kB around a row of 2.5 kB were observed), so larger entries would appear to fill the memory."""


class Features:
    """The features of an image set: ``features[rows]`` gathers rows; only small entries are kept in memory.

    While this object lives, no process evicts the entry. Works in forked processes. ``with`` closes it.

    Args:
        folder: The entry's folder, whose shards have been checked.
        index: The complete index of the entry.
        release: Called by ``close``.
    """

    def __init__(self, folder: Path, index: Index, release: Callable[[], None]) -> None:
        self.shape = (index.rows, *index.shape)
        """``(rows, *row shape)``."""
        self.dtype: np.dtype[Any] = np.dtype(index.dtype).newbyteorder("<")
        """The stored dtype."""
        self._release = release
        self._part: NDArray[np.int64] | None = None
        self._shard_rows = index.shard_rows
        shards = [np.lib.format.open_memmap(folder / shard_name(n), mode="r") for n in range(index.shard_count)]
        for shard_index, shard in enumerate(shards):
            if shard.shape != (len(index.shard_range(shard_index)), *index.shape) or shard.dtype != self.dtype:
                raise ValueError(f"{folder / shard_name(shard_index)} holds {shard.dtype} {shard.shape}")
        small = self.nbytes <= _MAPPED or not hasattr(os, "preadv")
        self._source: _Source | None = _Maps(shards) if small else _Files(folder, index)

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __enter__(self) -> Features:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def nbytes(self) -> int:
        """Size of all rows in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, rows: ArrayLike) -> NDArray[Any]:
        """Gather rows.

        Args:
            rows: Integers ``[n]`` in 0 ... len - 1, in any order, with repeats; n may be 0.

        Returns:
            ``[n, *row shape]`` in the stored dtype; a copy.

        Raises:
            IndexError: ``rows`` is not a list of integers in this range.
            RuntimeError: The features are closed.
            OSError: A file cannot be read.
        """
        if self._source is None:
            raise RuntimeError("these features are closed")
        wanted = self._checked(rows)
        if self._part is not None:
            wanted = self._part[wanted]
        gathered = np.empty((len(wanted), *self.shape[1:]), self.dtype)
        shards, inner = np.divmod(wanted, self._shard_rows)
        self._source.gather(shards, inner, gathered)
        return gathered

    def part(self, rows: NDArray[np.int64]) -> Features:
        """Return some rows, ``[n]``, as features of their own, which keep the entry as these do."""
        part = copy.copy(self)
        part._part = self._checked(rows) if self._part is None else self._part[self._checked(rows)]
        part.shape = (len(rows), *self.shape[1:])
        return part

    def _checked(self, rows: ArrayLike) -> NDArray[np.int64]:
        wanted = np.asarray(rows)
        if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
            raise IndexError(f"expected a list of row numbers, found {wanted.dtype} {wanted.shape}")
        if wanted.size and not (wanted.min() >= 0 and wanted.max() < len(self)):
            raise IndexError(f"rows {wanted.min()} ... {wanted.max()} are not in 0 ... {len(self) - 1}")
        return wanted.astype(np.int64, copy=False)

    def close(self) -> None:
        """Release the entry, which may then be evicted. Gathered rows stay valid."""
        self._source = None
        self._release()


class _Source(Protocol):
    def gather(self, shards: NDArray[np.int64], inner: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Copy row ``inner[i]`` of shard ``shards[i]`` to ``out[i]``."""


class _Maps:
    def __init__(self, shards: list[np.memmap[Any, Any]]) -> None:
        self._shards = [np.asarray(shard) for shard in shards]

    def gather(self, shards: NDArray[np.int64], inner: NDArray[np.int64], out: NDArray[Any]) -> None:
        if len(self._shards) == 1:
            np.take(self._shards[0], inner, axis=0, out=out, mode="clip")  # "raise" would copy twice
            return
        for place, (shard, row) in enumerate(zip(shards.tolist(), inner.tolist(), strict=True)):
            out[place] = self._shards[shard][row]


class _Files:
    def __init__(self, folder: Path, index: Index) -> None:
        self._row_bytes = index.row_bytes
        self._headers = [index.shards[n].bytes - index.shards[n].rows * self._row_bytes for n in sorted(index.shards)]
        self._descriptors: list[int] = []
        weakref.finalize(self, _close, self._descriptors)
        for shard_index in range(index.shard_count):
            self._descriptors.append(os.open(folder / shard_name(shard_index), os.O_RDONLY))

    def gather(self, shards: NDArray[np.int64], inner: NDArray[np.int64], out: NDArray[Any]) -> None:
        if not len(out):
            return
        size, place, view = self._row_bytes, 0, out.reshape(-1).view(np.uint8).data
        for shard, row in zip(shards.tolist(), inner.tolist(), strict=True):
            position = self._headers[shard] + row * size
            if os.preadv(self._descriptors[shard], [view[place : place + size]], position) != size:
                raise OSError(f"a file of the feature cache was truncated while in use (shard {shard})")
            place += size


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
