"""The feature cache: entries in one folder, shared by runs, limited in size."""

from __future__ import annotations

import atexit
import errno
import json
import math
import shutil
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.filesize import decimal

from toolkit.cache.entry import Entry
from toolkit.cache.index import INDEX_NAME
from toolkit.cache.key import key_of
from toolkit.cache.shards import Checks
from toolkit.cache.upkeep import (
    EntryInfo,
    Problem,
    entry_folders,
    entry_info,
    in_use,
    remove_entry,
    remove_strays,
    verify_entry,
)
from toolkit.cache.writer import storing
from toolkit.core.console import info, warn
from toolkit.core.errors import ToolkitError
from toolkit.core.runtime import world_size

_SHARD_BYTES = 64 * 2**20
_SPARE = 2**20
"""Disk space to leave free, in bytes."""
_DAY = 86400.0
Listing = list[EntryInfo]
Problems = list[Problem]


def feature_bytes(rows: int, shape: Sequence[int], dtype: str) -> int:
    """Size of features on disk in bytes, except about 100 bytes per shard.

    Args:
        rows: Number of rows.
        shape: Shape of one row.
        dtype: ``"float16"`` or ``"float32"``.
    """
    return rows * math.prod(shape) * np.dtype(dtype).itemsize


class FeatureStore:
    """A folder of entries. Any number of processes may use it at the same time.

    Args:
        folder: Created on the first write. ``~`` is expanded.
        max_bytes: Maximum total size; the least recently used entries make room. None: no limit.
        shard_bytes: Maximum bytes of a file in a new entry; see ``Entry``.
        beside: Another folder to read existing entries from; never written.

    Example:
        >>> store = FeatureStore(Path("~/.cache/paddle-finetune/features"), max_bytes=20 * 10**9)  # doctest: +SKIP
        >>> entry = store.entry(key.facts())  # doctest: +SKIP
    """

    def __init__(
        self, folder: Path, max_bytes: int | None = None, *, shard_bytes: int = _SHARD_BYTES, beside: Path | None = None
    ) -> None:
        self._beside = beside
        self.folder = folder.expanduser()
        self.max_bytes = max_bytes
        self._shard_bytes = shard_bytes
        self._checks = Checks()

    def entry(self, facts: Mapping[str, Any]) -> Entry:
        """The entry for these facts; nothing is written yet.

        Args:
            facts: Everything that the features depend on, as JSON values; best from ``CacheKey.facts``. ``title`` is
                only a display name and is not part of the key.
        """
        plain = json.loads(json.dumps(dict(facts)))
        key, folder = key_of(plain), self.folder
        if self._beside is not None and (self._beside / key / INDEX_NAME).is_file():
            folder = self._beside
        return Entry(folder / key, plain, self._shard_bytes, self._checks, self.make_room)

    def list(self) -> Listing:
        """All entries, the least recently used first. Checksums are not read; see ``verify``."""
        entries = []
        with storing(self.folder):
            for folder in entry_folders(self.folder):
                with suppress(FileNotFoundError):  # removed in the meantime
                    entries.append(entry_info(folder))
        return sorted((info for info in entries if info is not None), key=lambda info: (info.used, info.key))

    def verify(self, fix: bool = False) -> Problems:
        """Read every shard and compare checksums.

        Args:
            fix: Remove damaged files, except in entries that are in use; missing features are computed when needed.
                Files that the cache does not write are reported but never removed.

        Raises:
            ToolkitError: The folder cannot be read or written.
        """
        with storing(self.folder):
            return [problem for folder in entry_folders(self.folder) for problem in verify_entry(folder, fix)]

    def prune(self, max_bytes: int | None = None, older_than: float | None = None, everything: bool = False) -> int:
        """Remove entries, the least recently used first; never one in use by a live process.

        Args:
            max_bytes: Remove until the rest takes no more than this.
            older_than: Remove entries not used for this many seconds.
            everything: Remove all entries.

        Returns:
            Number of bytes freed.

        Raises:
            ToolkitError: The folder is not writable.
        """
        entries = self.list()
        total, freed, now = sum(entry.bytes for entry in entries), 0, time.time()
        for entry in entries:
            old = older_than is not None and entry.used < now - older_than
            large = max_bytes is not None and total - freed > max_bytes
            folder = self.folder / entry.key
            with storing(self.folder):
                removed = remove_entry(folder) if everything or old or large else None
                freed += remove_strays(folder, _DAY) if removed is None else removed
        return freed

    def make_room(self, size: int, keep: Collection[str] = ()) -> None:
        """Make room for more data: evict the least recently used entries that are not in use.

        ``Entry.writing`` calls this; call it yourself before writing several entries. Nothing is removed if that would
        not free enough.

        Args:
            size: Number of bytes to write.
            keep: Keys of entries that must stay.

        Raises:
            ToolkitError: The limit or the disk is too small.
        """
        entries = self.list()
        total = sum(entry.bytes for entry in entries)
        with storing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        over = max(total + size - self.max_bytes if self.max_bytes is not None else 0, size + _SPARE - free)
        if over <= 0:
            return
        with storing(self.folder):
            idle = [e for e in entries if e.key not in keep and not in_use(self.folder / e.key)]
            evictable = sum(entry.bytes for entry in idle)
            freed = 0
            for entry in idle if over <= evictable else ():
                if freed < over:
                    freed += remove_entry(self.folder / entry.key) or 0
        if freed < over:
            raise self._too_small(size, total - evictable, free, evictable)
        info(f"feature cache: {decimal(freed)} of least recently used features removed to make room")

    def _too_small(self, size: int, used: int, free: int, evictable: int) -> ToolkitError:
        parts = [f"the feature cache {self.folder} needs {decimal(size)} more"]
        if self.max_bytes is not None and size + used > self.max_bytes:
            parts.append(f"cache.max_size allows {decimal(self.max_bytes)}, of which {decimal(used)} are in use")
            fix = "raise cache.max_size"
        else:
            parts.append(f"the disk has {decimal(free)} free, and {decimal(evictable)} of older features could go")
            fix = "free some space, set cache.dir to another disk"
        return ToolkitError("; ".join(parts), hint=f"{fix}, or use cache.enabled: false")


def usable_store(folder: Path, max_bytes: int | None) -> FeatureStore:
    """The store in a folder; if it is not writable, warns and keeps new entries only until the process ends.

    Processes that train together always use the folder, as they share it.
    """
    own = None if world_size() > 1 else _in_place_of(folder.expanduser())
    return FeatureStore(folder, max_bytes) if own is None else FeatureStore(own, max_bytes, beside=folder.expanduser())


@lru_cache
def _in_place_of(folder: Path) -> Path | None:
    """A temporary folder if the given one is not writable; a full disk is reported when writing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return None
        own = Path(tempfile.mkdtemp(prefix="toolkit-cache-"))
        atexit.register(shutil.rmtree, own, ignore_errors=True)
        warn(f"cache.dir {folder} cannot be written ({error.strerror}): new features go to {own} until the end")
        return own
