"""The features of one image set at one boundary: what is there, what is missing, filling and reading."""

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
"""An open entry holds a descriptor a shard, and a process may have 256 (macOS) or 1,024 (Linux) of them."""
_SHARD_ROWS = 256
"""What a kill may cost: small rows fill a file in minutes or hours, and a file counts once it is whole."""


class Entry:
    """One entry of a ``FeatureStore``, which makes it.

    Args:
        folder: Where it is, or will be; its name is its key.
        facts: What the features depend on.
        shard_bytes: Most bytes of a file of a new entry, which has 256 rows at most; more of both where that makes
            more than 64 files, or for one row.
        checks: The store's.
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
        """Its name in the store."""
        return self.folder.name

    @property
    def complete(self) -> bool:
        """Whether every row is there and right. Reads every shard once a process; of damage one line is told."""
        index = self._checks.index(self.folder)
        return index is not None and not index.missing(self._checks.good(self.folder, index))

    def missing(self, rows: int) -> list[range]:
        """The rows that ``writing`` would ask for, now.

        Args:
            rows: Number of rows of the complete entry.
        """
        index = self._checks.index(self.folder)
        if index is None or index.rows != rows:
            return [range(rows)]
        return index.missing(self._checks.good(self.folder, index))

    def stale_bytes(self, rows: int) -> int:
        """Size of the files that ``writing`` would remove first: damaged ones, and those of another number of rows.

        Args:
            rows: Number of rows of the complete entry.
        """
        with storing(self.folder.parent):
            info = entry_info(self.folder) if self.folder.is_dir() else None
        index = self._checks.index(self.folder)
        if info is None or index is None or index.rows != rows:
            return info.bytes if info else 0
        good = sum(index.shards[number].bytes for number in self._checks.good(self.folder, index))
        return max(0, info.bytes - good)

    @contextmanager
    def writing(
        self, rows: int, shape: Sequence[int], dtype: str, while_waiting: Callable[[], None] = lambda: None
    ) -> Iterator[Writer]:
        """Fill what is missing.

        Waits, with one line, while another process fills this entry; ``Writer.missing`` is then most likely empty.

        Args:
            rows: Number of rows of the complete entry, >= 1.
            shape: Of one row, without zeros.
            dtype: ``"float16"`` or ``"float32"``.
            while_waiting: Called again and again while another process fills; what it raises ends the waiting.

        Yields:
            The writer. Leaving early, by an error or not, keeps its finished shards.

        Raises:
            ToolkitError: The disk is too small (said before anything is written), full, or cannot be written.

        Example:
            >>> with entry.writing(len(images), (1280,), "float16") as writer:  # doctest: +SKIP
            ...     for span in writer.missing:
            ...         for block in compute(span):
            ...             writer.append(block)
            ...     features = entry.open()  # inside: nobody evicts it in between
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
        """Alone among those who fill, and like a reader to those who evict."""
        root, held = self.folder.parent, list[FileLock]()
        try:
            with storing(root):
                use_lock(root, self.key).parent.mkdir(parents=True, exist_ok=True)
                checking = f"feature cache {self.key}: waiting for another process that checks or removes it"
                held.append(lock(use_lock(root, self.key), checking, shared=True, while_waiting=while_waiting))
                filling = f"feature cache {self.key}: another process is filling it; waiting for it"
                held.append(lock(fill_lock(root, self.key), filling, while_waiting=while_waiting))
            yield
        finally:
            for one in reversed(held):
                one.release()

    def _prepared(self, rows: int, shape: tuple[int, ...], dtype: str) -> Index:
        """The index to go on with, after what cannot be used was removed."""
        found = self._checks.index(self.folder)
        if found is not None and (found.rows, found.shape, found.dtype) == (rows, shape, dtype):
            good = self._checks.good(self.folder, found)
            index = replace(found, shards={n: found.shards[n] for n in sorted(good)})
        else:
            if found is not None:
                warn(f"feature cache {self.key}: holds {found.rows} rows {found.shape} of {found.dtype}; computed anew")
            per_shard = self._shard_bytes // (math.prod(shape) * np.dtype(dtype).itemsize)
            shard_rows = max(1, min(per_shard, _SHARD_ROWS), -(-rows // _MOST_SHARDS))
            index = Index(self.facts, rows, shape, dtype, shard_rows, float(int(time.time())))
        if self.folder.is_dir():
            self._clear({INDEX_NAME, "used", *map(shard_name, index.shards)})
        return index

    def _clear(self, keep: set[str]) -> None:
        """Remove our own files but these: damaged ones, and temporary ones of processes that were killed."""
        foreign = []
        for path in self.folder.iterdir():
            if not own_file(path.name):
                foreign.append(path.name)
            elif path.name not in keep:
                path.unlink(missing_ok=True)
        if foreign:
            warn(f"feature cache {self.key}: {', '.join(sorted(foreign)[:5])} do not belong there; left alone")

    def open(self) -> Features:
        """Read the complete entry; nobody evicts it until the result is closed or gone.

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
            with suppress(OSError):  # a cache that we may read and not write: mapped files survive their removal
                path.parent.mkdir(exist_ok=True)
                waiting = f"feature cache {self.key}: waiting for another process that checks or removes it"
                return lock(path, waiting, shared=True)
        return None

    def _touch(self) -> None:
        """Note the time of use, where we may."""
        path = self.folder / "used"
        with suppress(OSError):
            path.touch()
            os.utime(path)


def _incomplete(folder: Path, what: str) -> ToolkitError:
    return ToolkitError(f"feature cache {folder}: {what} missing", hint="run again: what is missing is computed")
