"""The features of one image set at one boundary: status, filling and reading."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.cache.features import Features
from toolkit.cache.index import INDEX_NAME, Index, own_file, shard_name, write_index
from toolkit.cache.shards import Checks
from toolkit.cache.upkeep import entry_info, fill_lock, use_lock
from toolkit.cache.writer import Writer, storing
from toolkit.core.console import warn
from toolkit.core.errors import ToolkitError
from toolkit.core.locking import FileLock, lock

_MOST_SHARDS = 64
"""An open entry holds one file descriptor per shard, and a process may have 256 (macOS) or 1,024 (Linux) of them."""
_SHARD_ROWS = 256
"""Limits what a kill can cost: files of small rows take minutes or hours, and only complete files count."""


class Entry:
    """One entry of a ``FeatureStore``, which creates it.

    Args:
        folder: The entry's folder, which may not exist yet; its name is the key.
        facts: What the features depend on.
        shard_bytes: Maximum bytes of a file in a new entry, which has at most 256 rows; both grow if there would be
            more than 64 files, or for a single large row.
        checks: The store's checks.
        make_room: ``FeatureStore.make_room``.
    """

    def __init__(
        self,
        folder: Path,
        facts: Mapping[str, Any],
        shard_bytes: int,
        checks: Checks,
        make_room: Callable[[int, Sequence[str]], None],
    ) -> None:
        self.folder = folder
        self.facts = facts
        self._shard_bytes = shard_bytes
        self._checks = checks
        self._make_room = make_room

    @property
    def key(self) -> str:
        """The entry's name in the store."""
        return self.folder.name

    @property
    def complete(self) -> bool:
        """Whether all rows are present and intact. Reads every shard once per process; warns once of damage."""
        index = self._checks.index(self.folder)
        return index is not None and not index.missing(self._checks.good(self.folder, index))

    def missing(self, rows: int) -> list[range]:
        """The rows that ``writing`` would currently request.

        Args:
            rows: Number of rows of the complete entry.
        """
        index = self._checks.index(self.folder)
        if index is None or index.rows != rows:
            return [range(rows)]
        return index.missing(self._checks.good(self.folder, index))

    def stale_bytes(self, rows: int) -> int:
        """Size of the files that ``writing`` would remove first: damaged ones, and those for another row count.

        Args:
            rows: Number of rows of the complete entry.
        """
        with storing(self.folder.parent):
            info = entry_info(self.folder) if self.folder.is_dir() else None
        index = self._checks.index(self.folder)
        if info is None or index is None or index.rows != rows:
            return info.bytes if info else 0
        good = sum(index.shards[shard_index].bytes for shard_index in self._checks.good(self.folder, index))
        return max(0, info.bytes - good)

    @contextmanager
    def writing(
        self, rows: int, shape: Sequence[int], dtype: str, while_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Writer]:
        """Fill the missing rows.

        Waits, with a message, while another process fills this entry; ``Writer.missing`` is then usually empty.

        Args:
            rows: Number of rows of the complete entry, >= 1.
            shape: Shape of one row, without zeros.
            dtype: ``"float16"`` or ``"float32"``.
            while_waiting: Called repeatedly while another process fills the entry; an exception ends the wait.

        Yields:
            The writer. Leaving early, with or without an error, keeps the finished shards.

        Raises:
            ToolkitError: The disk is too small (raised before anything is written), full, or not writable.

        Example:
            >>> with entry.writing(len(images), (1280,), "float16") as writer:  # doctest: +SKIP
            ...     for span in writer.missing:
            ...         for block in compute(span):
            ...             writer.append(block)
            ...     features = entry.open()  # inside the context, so that nothing evicts the entry in between
        """
        if rows < 1 or 0 in shape or dtype not in ("float16", "float32"):
            raise ValueError(f"cannot keep {rows} rows {tuple(shape)} of {dtype}")
        root = self.folder.parent
        with self._locked_for_filling(while_waiting):
            with storing(root):
                index = self._prepared(rows, tuple(shape), dtype)
            missing = index.missing(index.shards)
            if missing:
                self._make_room(sum(map(len, missing)) * index.row_bytes, (self.key,))
                with storing(root):
                    self.folder.mkdir(exist_ok=True)
                    write_index(self.folder, index)
                    self._touch()
            writer = Writer(self.folder, index, missing)
            try:
                yield writer
            finally:
                writer.close()

    @contextmanager
    def _locked_for_filling(self, while_waiting: Callable[[], None]) -> Iterator[None]:
        """Hold the fill lock exclusively, and the use lock like a reader."""
        root, held = self.folder.parent, list[FileLock]()
        try:
            with storing(root):
                use_lock(root, self.key).parent.mkdir(parents=True, exist_ok=True)
                checking = f"feature cache {self.key}: waiting for another process to check or remove it"
                held.append(lock(use_lock(root, self.key), checking, shared=True, while_waiting=while_waiting))
                filling = f"feature cache {self.key}: waiting for another process to fill it"
                held.append(lock(fill_lock(root, self.key), filling, while_waiting=while_waiting))
            yield
        finally:
            for file_lock in reversed(held):
                file_lock.release()

    def _prepared(self, rows: int, shape: tuple[int, ...], dtype: str) -> Index:
        """The index to continue with, after removing unusable files."""
        old = self._checks.index(self.folder)
        if old is not None and (old.rows, old.shape, old.dtype) == (rows, shape, dtype):
            good = self._checks.good(self.folder, old)
            index = replace(old, shards={n: old.shards[n] for n in sorted(good)})
        else:
            if old is not None:
                warn(f"feature cache {self.key}: holds {old.rows} rows {old.shape} of {old.dtype}; recomputing")
            per_shard = self._shard_bytes // (math.prod(shape) * np.dtype(dtype).itemsize)
            shard_rows = max(1, min(per_shard, _SHARD_ROWS), -(-rows // _MOST_SHARDS))
            index = Index(self.facts, rows, shape, dtype, shard_rows, float(int(time.time())))
        if self.folder.is_dir():
            self._clear({INDEX_NAME, "used", *map(shard_name, index.shards)})
        return index

    def _clear(self, keep: set[str]) -> None:
        """Remove the cache's files except these: damaged ones, and temporary files of killed processes."""
        foreign = []
        for path in self.folder.iterdir():
            if not own_file(path.name):
                foreign.append(path.name)
            elif path.name not in keep:
                path.unlink(missing_ok=True)
        if foreign:
            warn(f"feature cache {self.key}: {', '.join(sorted(foreign)[:5])} do not belong there; leaving them")

    def open(self) -> Features:
        """Open the complete entry; it cannot be evicted until the result is closed or deleted.

        Raises:
            ToolkitError: Rows are missing or damaged: fill them first.
        """
        root = self.folder.parent
        held = self._reading_lock()
        release = held.release if held is not None else lambda: None
        try:
            with storing(root):
                index = self._checks.index(self.folder)
                missing = [] if index is None else index.missing(self._checks.good(self.folder, index))
                if index is None or missing:
                    what = f"{sum(map(len, missing))} of {index.rows} rows are" if index else "all rows are"
                    raise _incomplete(self.folder, what)
                self._touch()
                return Features(self.folder, index, release)
        except BaseException:
            release()
            raise

    def _reading_lock(self) -> FileLock | None:
        path = use_lock(self.folder.parent, self.key)
        if (self.folder / INDEX_NAME).exists():
            with suppress(OSError):  # a read-only cache: mapped files survive their removal
                path.parent.mkdir(exist_ok=True)
                waiting = f"feature cache {self.key}: waiting for another process to check or remove it"
                return lock(path, waiting, shared=True)
        return None

    def _touch(self) -> None:
        """Record the time of use, if permitted."""
        path = self.folder / "used"
        with suppress(OSError):
            path.touch()
            os.utime(path)


def _incomplete(folder: Path, what: str) -> ToolkitError:
    return ToolkitError(f"feature cache {folder}: {what} missing", hint="run again to compute what is missing")
