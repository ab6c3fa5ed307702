"""The entries of a store as files: who uses them, what they take, what is wrong with them, and removing them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from toolkit.cache.index import INDEX_NAME, DamagedIndexError, Index, own_file, read_index, shard_name, write_index
from toolkit.cache.shards import Checks
from toolkit.core.locking import FileLock, try_lock

_KEY = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class EntryInfo:
    """An entry, as a listing shows it.

    Attributes:
        key: Its name.
        facts: What its features depend on; empty when ``problem`` says why.
        rows: Of the complete entry.
        complete: Every shard is there; their checksums were not read.
        bytes: What its files take.
        used: Last use, seconds since 1970.
        created: Seconds since 1970; 0 when unknown.
        problem: Why it cannot be used: another version, or damaged; else None.
    """

    key: str
    facts: Mapping[str, Any]
    rows: int
    complete: bool
    bytes: int
    used: float
    created: float
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True)
class Problem:
    """Something in the store that is not as it should be.

    Attributes:
        key: The entry.
        file: The file in it.
        what: In words.
        fixed: It was removed.
    """

    key: str
    file: str
    what: str
    fixed: bool = False

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def use_lock(root: Path, key: str) -> Path:
    """Held shared by who reads or fills an entry, exclusively by who removes from it."""
    return root / ".locks" / f"{key}.use"


def fill_lock(root: Path, key: str) -> Path:
    """Held exclusively by who fills an entry, within ``use_lock``."""
    return root / ".locks" / f"{key}.fill"


def entry_folders(root: Path) -> list[Path]:
    """All folders that have the name of an entry."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if _KEY.fullmatch(p.name) and p.is_dir() and not p.is_symlink())


def entry_info(folder: Path) -> EntryInfo | None:
    """What there is to say of an entry without reading its rows; None when nothing of the cache is in the folder."""
    sizes, times = {}, {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a temporary file of someone who fills it
            if own_file(path.name):
                stat = path.stat()
                sizes[path.name], times[path.name] = stat.st_size, stat.st_mtime
    if not sizes:
        return None
    used = times.get("used") or max(times.values())
    try:
        index = read_index(folder)
        problem = None if index else f"{INDEX_NAME} is not there"
    except DamagedIndexError as error:
        index, problem = None, str(error)
    if index is None:
        return EntryInfo(folder.name, {}, 0, False, sum(sizes.values()), used, 0.0, problem)
    there = {n for n, shard in index.shards.items() if sizes.get(shard_name(n)) == shard.bytes}
    complete = not index.missing(there)
    return EntryInfo(folder.name, index.facts, index.rows, complete, sum(sizes.values()), used, index.created)


@contextmanager
def _alone(folder: Path) -> Iterator[FileLock | None]:
    """The entry's lock, or None when someone uses it."""
    path = use_lock(folder.parent, folder.name)
    path.parent.mkdir(exist_ok=True)
    held = try_lock(path)
    try:
        yield held
    finally:
        if held is not None:
            held.release()


def in_use(folder: Path) -> bool:
    """Whether some process, this one included, reads or fills the entry."""
    with _alone(folder) as held:
        return held is None


def remove_entry(folder: Path) -> int | None:
    """Remove the cache's own files of an entry, and its folder when that leaves it empty.

    Returns:
        Bytes that were freed; None when it is in use, and stays.
    """
    with _alone(folder) as held:
        if held is None:
            return None
        return _remove(folder) if folder.is_dir() else 0  # another process may have been faster


def _remove(folder: Path) -> int:
    freed = 0
    own = [path for path in folder.iterdir() if own_file(path.name)]
    for path in sorted(own, key=lambda path: path.name == INDEX_NAME):  # last: until then it says what this was
        freed += path.stat().st_size
        path.unlink()
    with suppress(OSError):  # foreign files
        folder.rmdir()
    for lock_file in (fill_lock, use_lock):
        with suppress(OSError):  # Windows does not remove open files
            lock_file(folder.parent, folder.name).unlink(missing_ok=True)
    return freed


def remove_strays(folder: Path, older_than: float) -> int:
    """Remove temporary files that killed processes left in an entry that nobody uses now.

    Args:
        folder: The entry.
        older_than: Seconds. Where the file system has no locks, age alone tells a stray from a file in the making.

    Returns:
        Bytes that were freed.
    """
    with suppress(FileNotFoundError):  # the writer is alive, and done with one of them
        old = [p for p in folder.glob(".*.tmp") if own_file(p.name) and p.stat().st_mtime < time.time() - older_than]
        if not old:
            return 0
        with _alone(folder) as held:
            if held is None:
                return 0
            freed = sum(path.stat().st_size for path in old)
            for path in old:
                path.unlink()
            return freed
    return 0


def verify_entry(folder: Path, fix: bool) -> list[Problem]:
    """Read all of an entry.

    Args:
        folder: The entry.
        fix: Remove what is wrong, where nobody uses the entry. Foreign files stay in any case.
    """
    with ExitStack() as stack:
        held = None
        with suppress(*(() if fix else (OSError,))):  # a cache that we may only read can be checked as well
            held = stack.enter_context(_alone(folder))
        if not folder.is_dir():  # removed meanwhile
            return []
        foreign = [Problem(folder.name, p.name, "does not belong there") for p in folder.iterdir() if _foreign(p)]
        alone = held is not None
        try:
            index = read_index(folder)
        except DamagedIndexError as error:
            found = [Problem(folder.name, INDEX_NAME, str(error), fix and alone)]
        else:
            if index is not None:
                return _verify_shards(folder, index, alone=alone, fix=fix) + foreign
            if not alone or entry_info(folder) is None:  # someone begins to fill it, or nothing is left
                return foreign
            found = [Problem(folder.name, INDEX_NAME, "is not there", fix)]
        if fix and alone:
            _remove(folder)
        return found + foreign


def _foreign(path: Path) -> bool:
    return not own_file(path.name)


def _verify_shards(folder: Path, index: Index, *, alone: bool, fix: bool) -> list[Problem]:
    checks = Checks()
    wrong = {shard_name(n): checks.problem(folder / shard_name(n), s, index, n) for n, s in index.shards.items()}
    found = {name: what for name, what in wrong.items() if what is not None}
    if alone:  # else they belong to who fills the entry
        listed = {shard_name(n) for n in index.shards} | {INDEX_NAME, "used"}
        strays = [path.name for path in folder.iterdir() if own_file(path.name) and path.name not in listed]
        found |= dict.fromkeys(strays, "was left behind by a process that was killed")
    if fix and alone and found:
        good = {n: shard for n, shard in index.shards.items() if shard_name(n) not in found}
        write_index(folder, replace(index, shards=good))
        for name in found:
            (folder / name).unlink(missing_ok=True)
    note = "" if alone or not fix else "; in use, not removed"
    return [Problem(folder.name, name, what + note, fix and alone) for name, what in sorted(found.items())]
