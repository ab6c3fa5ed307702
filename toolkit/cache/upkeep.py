"""The entries of a store as files: usage, size, problems and removal."""

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
    """An entry as shown in a listing.

    Attributes:
        key: Name of the entry.
        facts: What its features depend on; empty if there is a ``problem``.
        rows: Number of rows in the complete entry.
        complete: Whether all shards are present; checksums are not verified.
        bytes: Size of its files.
        used: Last use, seconds since 1970.
        created: Creation time, seconds since 1970; 0 if unknown.
        problem: Why it is unusable (another version, or damaged), or None.
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
    """Something wrong in the store.

    Attributes:
        key: The entry.
        file: The affected file.
        what: Description of the problem.
        fixed: Whether the file was removed.
    """

    key: str
    file: str
    what: str
    fixed: bool = False

    def to_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def use_lock(root: Path, key: str) -> Path:
    """Lock held shared to read or fill an entry, exclusively to remove from it."""
    return root / ".locks" / f"{key}.use"


def fill_lock(root: Path, key: str) -> Path:
    """Lock held exclusively to fill an entry, within ``use_lock``."""
    return root / ".locks" / f"{key}.fill"


def entry_folders(root: Path) -> list[Path]:
    """All folders named like an entry."""
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if _KEY.fullmatch(p.name) and p.is_dir() and not p.is_symlink())


def entry_info(folder: Path) -> EntryInfo | None:
    """Describe an entry without reading its rows; None if the folder has no cache files."""
    sizes, times = {}, {}
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a temporary file of a process that fills it
            if own_file(path.name):
                stat = path.stat()
                sizes[path.name], times[path.name] = stat.st_size, stat.st_mtime
    if not sizes:
        return None
    used = times.get("used") or max(times.values())
    try:
        index = read_index(folder)
        problem = None if index else f"{INDEX_NAME} is missing"
    except DamagedIndexError as error:
        index, problem = None, str(error)
    if index is None:
        return EntryInfo(folder.name, {}, 0, False, sum(sizes.values()), used, 0.0, problem)
    there = {n for n, shard in index.shards.items() if sizes.get(shard_name(n)) == shard.bytes}
    complete = not index.missing(there)
    return EntryInfo(folder.name, index.facts, index.rows, complete, sum(sizes.values()), used, index.created)


@contextmanager
def _alone(folder: Path) -> Iterator[FileLock | None]:
    """The entry's lock, or None if the entry is in use."""
    path = use_lock(folder.parent, folder.name)
    path.parent.mkdir(exist_ok=True)
    held = try_lock(path)
    try:
        yield held
    finally:
        if held is not None:
            held.release()


def in_use(folder: Path) -> bool:
    """Whether a process, including this one, reads or fills the entry."""
    with _alone(folder) as held:
        return held is None


def remove_entry(folder: Path) -> int | None:
    """Remove the cache's files from an entry, and the folder if it is then empty.

    Returns:
        Number of bytes freed; None if the entry is in use and stays.
    """
    with _alone(folder) as held:
        if held is None:
            return None
        return _remove(folder) if folder.is_dir() else 0  # another process may have been faster


def _remove(folder: Path) -> int:
    freed = 0
    own = [path for path in folder.iterdir() if own_file(path.name)]
    for path in sorted(own, key=lambda path: path.name == INDEX_NAME):  # last, as it describes the entry
        freed += path.stat().st_size
        path.unlink()
    with suppress(OSError):  # foreign files
        folder.rmdir()
    for lock_file in (fill_lock, use_lock):
        with suppress(OSError):  # Windows does not remove open files
            lock_file(folder.parent, folder.name).unlink(missing_ok=True)
    return freed


def remove_strays(folder: Path, older_than: float) -> int:
    """Remove temporary files that killed processes left in an unused entry.

    Args:
        folder: The entry.
        older_than: Minimum age in seconds. Without file locks, only age tells a stray from a file being written.

    Returns:
        Number of bytes freed.
    """
    with suppress(FileNotFoundError):  # the writer is alive and has finished one of them
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
    """Verify a whole entry.

    Args:
        folder: The entry.
        fix: Remove damaged files if the entry is not in use. Foreign files always stay.
    """
    with ExitStack() as stack:
        held = None
        with suppress(*(() if fix else (OSError,))):  # a read-only cache can be verified as well
            held = stack.enter_context(_alone(folder))
        if not folder.is_dir():  # removed in the meantime
            return []
        foreign = [Problem(folder.name, p.name, "does not belong there") for p in folder.iterdir() if _foreign(p)]
        alone = held is not None
        try:
            index = read_index(folder)
        except DamagedIndexError as error:
            problems = [Problem(folder.name, INDEX_NAME, str(error), fix and alone)]
        else:
            if index is not None:
                return _verify_shards(folder, index, alone=alone, fix=fix) + foreign
            if not alone or entry_info(folder) is None:  # another process starts to fill it, or nothing is left
                return foreign
            problems = [Problem(folder.name, INDEX_NAME, "is missing", fix)]
        if fix and alone:
            _remove(folder)
        return problems + foreign


def _foreign(path: Path) -> bool:
    return not own_file(path.name)


def _verify_shards(folder: Path, index: Index, *, alone: bool, fix: bool) -> list[Problem]:
    checks = Checks()
    wrong = {shard_name(n): checks.problem(folder / shard_name(n), s, index, n) for n, s in index.shards.items()}
    problems = {name: what for name, what in wrong.items() if what is not None}
    if alone:  # otherwise they belong to the process that fills the entry
        listed = {shard_name(n) for n in index.shards} | {INDEX_NAME, "used"}
        strays = [path.name for path in folder.iterdir() if own_file(path.name) and path.name not in listed]
        problems |= dict.fromkeys(strays, "was left behind by a killed process")
    if fix and alone and problems:
        good = {n: shard for n, shard in index.shards.items() if shard_name(n) not in problems}
        write_index(folder, replace(index, shards=good))
        for name in problems:
            (folder / name).unlink(missing_ok=True)
    note = "" if alone or not fix else "; in use, not removed"
    return [Problem(folder.name, name, what + note, fix and alone) for name, what in sorted(problems.items())]
