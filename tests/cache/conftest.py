"""A small store, and features whose every number is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.cache import Entry, FeatureStore

SHAPE = (3, 5)
SHARD_BYTES = 10 * 15 * 2  # ten rows of float16

Fill = Callable[..., Entry]


def rows_of(rows: range | NDArray[np.int64], shape: tuple[int, ...] = SHAPE) -> NDArray[np.float32]:
    """Row r holds the numbers r, r + 1/8, r + 2/8, ..., which float16 holds exactly below 256."""
    size = int(np.prod(shape))
    return (np.asarray(rows)[:, None] + np.arange(size) / 8).astype(np.float32).reshape(-1, *shape)


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    """Shards hold ten rows."""
    return FeatureStore(tmp_path / "cache", shard_bytes=SHARD_BYTES)


@pytest.fixture
def fill() -> Fill:
    """``fill(store, name, rows=95)`` fills an entry in blocks of 7 rows, up to row ``stop``."""

    def work(store: FeatureStore, name: str = "a", rows: int = 95, stop: int | None = None, **facts: Any) -> Entry:
        entry = store.entry({"network": name, **facts})
        with entry.writing(rows, SHAPE, "float16") as writer:
            for span in writer.missing:
                for start in range(span.start, span.stop, 7):
                    block = range(start, min(start + 7, span.stop, stop or rows))
                    if len(block):
                        writer.append(rows_of(block))
        return entry

    return work
