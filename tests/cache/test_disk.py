"""Disks that are full, limited or read-only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.cache.conftest import Fill, rows_of
from tests.disks import mount, mounted_disk, pretend_free
from toolkit.cache import FeatureStore
from toolkit.core.errors import ToolkitError

MEGABYTE = np.zeros((256, 1024), np.float32)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    with mounted_disk(tmp_path / "disk", "4m") as folder:
        yield folder


def test_a_full_disk_ends_with_the_cure_and_keeps_what_is_whole(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FeatureStore(small_disk, shard_bytes=2**20)
    entry = store.entry({})
    words = r"needs 10.5 MB more; the disk has 4.2 MB free"
    with pytest.raises(ToolkitError, match=words), entry.writing(2560, (1024,), "float32"):
        pass
    assert not entry.folder.exists()
    pretend_free(monkeypatch, 10**9)  # others fill the disk meanwhile
    words = (
        r"\(768 of 2560 rows are kept\) — the disk is full; free some space, or choose another cache.dir, or use cache"
    )
    with pytest.raises(ToolkitError, match=words), entry.writing(2560, (1024,), "float32") as writer:
        for _ in range(10):
            writer.append(MEGABYTE)
    assert entry.missing(2560) == [range(768, 2560)]
    assert not list(entry.folder.glob(".*.tmp"))
    mount("-o", "remount,size=20m", small_disk)
    with entry.writing(2560, (1024,), "float32") as writer:
        for _ in range(7):
            writer.append(MEGABYTE)
    assert entry.complete


def test_a_read_only_disk_can_be_read_and_not_written(small_disk: Path, fill: Fill) -> None:
    store = FeatureStore(small_disk / "cache", shard_bytes=300)
    fill(store)
    mount("-o", "remount,ro", small_disk)
    store = FeatureStore(small_disk / "cache", shard_bytes=300)
    entry = store.entry({"network": "a"})
    assert entry.complete
    features = entry.open()
    np.testing.assert_array_equal(features[np.arange(95)], rows_of(range(95)))
    features.close()
    assert store.verify() == []
    assert len(store.list()) == 1
    for work in (lambda: fill(store, "b"), lambda: store.prune(everything=True)):
        with pytest.raises(ToolkitError, match=r"file system is read-only; choose another cache.dir, or use"):
            work()
    assert fill(store, "a").complete  # nothing to write


def test_a_read_only_cache_without_locks_can_be_read(small_disk: Path, fill: Fill) -> None:
    store = FeatureStore(small_disk / "cache", shard_bytes=300)
    entry = fill(store)
    shutil.rmtree(store.folder / ".locks")
    mount("-o", "remount,ro", small_disk)
    np.testing.assert_array_equal(entry.open()[np.arange(95)], rows_of(range(95)))
    assert store.verify() == []


def test_a_file_in_place_of_the_folder(tmp_path: Path, fill: Fill) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ToolkitError, match=r"a file is in the way of a folder; choose another cache.dir"):
            fill(FeatureStore(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_a_limit_of_file_sizes_is_a_clear_error(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from toolkit.cache import FeatureStore
from toolkit.core.errors import ToolkitError
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
small, large = (FeatureStore(Path(sys.argv[1]), shard_bytes=size).entry({}) for size in (100_000, 2**20))
with small.writing(500, (1000,), "float16") as writer:
    writer.append(np.zeros((450, 1000), np.float32))
assert small.missing(500) == [range(450, 500)]
try:
    with FeatureStore(Path(sys.argv[1])).entry({"b": 1}).writing(500, (1000,), "float16") as writer:
        writer.append(np.zeros((450, 1000), np.float32))
except ToolkitError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "files of this size are not allowed — raise `ulimit -f`, or use cache.enabled: false" in done.stdout, done
