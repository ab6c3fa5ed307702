"""``entry.json``: what an entry holds, which of its shards are complete, and their checksums."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.cache.key import FORMAT, canonical, key_of
from toolkit.core.files import write_text

INDEX_NAME = "entry.json"
_OWN = re.compile(r"entry\.json|used|shard-\d{5,}\.npy|\.(entry\.json|shard-\d{5,}\.npy)\.[0-9a-f]{8}\.tmp")
_OLD = ("features.npy", "done.json")
"""Files of format 1, which had one file per entry."""


class DamagedIndexError(ValueError):
    """An ``entry.json`` that cannot be trusted."""


@dataclass(frozen=True)
class Shard:
    """One finished file of rows.

    Attributes:
        rows: Number of rows.
        bytes: Size of the file.
        crc32: Checksum of the whole file (zlib's CRC-32), 8 hex digits.
    """

    rows: int
    bytes: int
    crc32: str


@dataclass(frozen=True)
class Index:
    """The content of ``entry.json``. Row r is in shard ``r // shard_rows``.

    Attributes:
        facts: What the features depend on.
        rows: Number of rows in the complete entry.
        shape: Shape of one row.
        dtype: ``"float16"`` or ``"float32"``, little-endian in the files.
        shard_rows: Rows in every shard except the last.
        created: Creation time, seconds since 1970.
        shards: The finished shards by index.
    """

    facts: Mapping[str, Any]
    rows: int
    shape: tuple[int, ...]
    dtype: str
    shard_rows: int
    created: float
    shards: dict[int, Shard] = field(default_factory=dict)

    @property
    def row_bytes(self) -> int:
        """Size of one row in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def shard_count(self) -> int:
        """Number of shards in the complete entry."""
        return -(-self.rows // self.shard_rows)

    def shard_range(self, shard_index: int) -> range:
        """The rows of a shard."""
        return range(shard_index * self.shard_rows, min((shard_index + 1) * self.shard_rows, self.rows))

    def missing(self, good: Collection[int]) -> list[range]:
        """The rows of all shards except these, with adjacent ranges joined."""
        missing: list[range] = []
        for shard_index in range(self.shard_count):
            rows = self.shard_range(shard_index)
            if shard_index in good:
                continue
            if missing and missing[-1].stop == rows.start:
                missing[-1] = range(missing[-1].start, rows.stop)
            else:
                missing.append(rows)
        return missing


def shard_name(shard_index: int) -> str:
    """File name of a shard."""
    return f"shard-{shard_index:05d}.npy"


def own_file(name: str) -> bool:
    """Whether the cache, in this version or an older one, writes files of this name."""
    return name in _OLD or _OWN.fullmatch(name) is not None


def write_index(folder: Path, index: Index) -> None:
    """Write the index atomically."""
    data = {
        "format": FORMAT,
        "facts": dict(index.facts),
        "rows": index.rows,
        "shape": list(index.shape),
        "dtype": index.dtype,
        "shard_rows": index.shard_rows,
        "created": index.created,
        "shards": {shard_name(shard_index): vars(shard) for shard_index, shard in sorted(index.shards.items())},
    }
    data["crc32"] = f"{zlib.crc32(canonical(data)):08x}"
    write_text(folder / INDEX_NAME, json.dumps(data, indent=1) + "\n")


def read_index(folder: Path) -> Index | None:
    """Read the index of the entry in a folder; None if there is none.

    Raises:
        DamagedIndexError: The index has another version or is damaged; the message says which.
        OSError: The index cannot be read.
    """
    try:
        data = json.loads((folder / INDEX_NAME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # the writer reports the latter
        if any((folder / name).exists() for name in _OLD):
            raise DamagedIndexError("of another version of the toolkit (format 1)") from None
        return None
    except (RecursionError, ValueError) as error:
        raise DamagedIndexError(f"{INDEX_NAME} is damaged (not JSON)") from error
    if not isinstance(data, dict):
        raise DamagedIndexError(f"{INDEX_NAME} is damaged (not a mapping)")
    if data.get("format") != FORMAT:
        raise DamagedIndexError(f"of another version of the toolkit (format {data.get('format')!r}, not {FORMAT})")
    checksum = data.pop("crc32", None)
    try:
        right = checksum == f"{zlib.crc32(canonical(data)):08x}"
    except RecursionError:
        right = False
    if not right:
        raise DamagedIndexError(f"{INDEX_NAME} is damaged (wrong checksum)")
    if key_of(data["facts"]) != folder.name:
        raise DamagedIndexError(f"{INDEX_NAME} belongs to other features")
    shards = {int(name[6:-4]): Shard(**shard) for name, shard in data["shards"].items()}
    names = ("facts", "rows", "dtype", "shard_rows", "created")
    return Index(shape=tuple(data["shape"]), shards=shards, **{name: data[name] for name in names})
