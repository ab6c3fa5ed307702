"""Entries: their keys, going on after an interruption, and making room."""

from __future__ import annotations

import errno
import os
import time
from dataclasses import fields, replace

import numpy as np
import pytest

from tests.cache.conftest import Fill, rows_of
from tests.disks import pretend_free
from toolkit.cache import CacheKey, Entry, FeatureStore
from toolkit.cache.store import usable_store
from toolkit.core.errors import ToolkitError

KEY = CacheKey("resnet18", "layer3", False, "w0", {"image_size": 224}, "i0", "float16", title="train")
FULL = 9 * (128 + 300) + (128 + 150)
"""Bytes of the shards of 95 rows."""


def used_at(entry: Entry, seconds_ago: float) -> None:
    os.utime(entry.folder / "used", (time.time() - seconds_ago,) * 2)


def keys(store: FeatureStore) -> list[str]:
    return [info.key for info in store.list()]


def test_the_key_says_all_that_features_depend_on(store: FeatureStore) -> None:
    values = {
        "network": "resnet34", "stage": "layer4", "pooled": True, "weights": "w1", "preprocessing": {"image_size": 32},
        "images": "i1", "dtype": "float32", "engine": "onnx", "view": 1, "augmentation": {"seed": 1},
        "below": "layer3 float16",
    }  # fmt: skip
    assert {*values, "title"} == {field.name for field in fields(CacheKey)}
    others = [replace(KEY, **{name: value}) for name, value in values.items()]
    assert len({store.entry(key.facts()).key for key in [KEY, *others]}) == 12
    assert store.entry(KEY.facts()).key == store.entry(replace(KEY, title="val").facts()).key
    assert store.entry(dict(reversed(KEY.facts().items()))).key == store.entry(KEY.facts()).key
    assert not store.folder.exists()


def test_a_new_entry_is_filled_and_read(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store)
    assert entry.complete
    assert entry.missing(95) == []
    np.testing.assert_array_equal(entry.open()[np.arange(95)], rows_of(range(95)))
    with entry.writing(95, (3, 5), "float16") as writer:
        assert writer.missing == ()
    (info,) = store.list()
    assert (info.key, info.facts, info.rows, info.complete, info.problem) == (
        entry.key, {"network": "a"}, 95, True, None,
    )  # fmt: skip
    assert FULL < info.bytes < FULL + 3000
    assert abs(info.used - time.time()) < 60
    assert abs(info.created - time.time()) < 60


def test_nothing_is_there_at_first(store: FeatureStore) -> None:
    entry = store.entry({"network": "a"})
    assert not entry.complete
    assert entry.missing(95) == [range(95)]
    assert store.list() == []
    assert store.prune(everything=True) == 0
    assert not store.folder.exists()


def test_filling_goes_on_after_the_last_whole_shard(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store, stop=37)
    assert entry.missing(95) == [range(30, 95)]
    assert [info.complete for info in store.list()] == [False]
    before = {path: path.stat().st_mtime_ns for path in entry.folder.glob("shard-*")}
    assert len(before) == 3
    with pytest.raises(RuntimeError), entry.writing(95, (3, 5), "float16") as writer:
        assert list(writer.missing) == [range(30, 95)]
        writer.append(rows_of(range(30, 45)))
        raise RuntimeError
    assert entry.missing(95) == [range(40, 95)]
    assert not list(entry.folder.glob(".*"))
    fill(store)
    assert entry.complete
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_several_gaps_are_filled_in_order(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store)
    for number in (0, 4, 5, 9):
        (entry.folder / f"shard-{number:05d}.npy").unlink()
    gaps = [range(10), range(40, 60), range(90, 95)]
    assert entry.missing(95) == gaps
    with entry.writing(95, (3, 5), "float16") as writer:
        writer.append(rows_of(range(10)))
        with pytest.raises(ValueError, match="not missing"):
            writer.append(rows_of(range(40, 61)))
    with entry.writing(95, (3, 5), "float16") as writer:
        assert list(writer.missing) == gaps[2:]
        writer.append(rows_of(range(90, 95)))
    np.testing.assert_array_equal(entry.open()[np.arange(95)], rows_of(range(95)))


def test_the_least_recently_used_go_first(store: FeatureStore, fill: Fill) -> None:
    a, b, c = (fill(store, name) for name in "abc")
    for entry, age in ((b, 300), (a, 200), (c, 100)):
        used_at(entry, age)
    assert keys(store) == [b.key, a.key, c.key]
    b.open().close()
    assert keys(store) == [a.key, c.key, b.key]
    size = store.list()[0].bytes
    assert store.prune(max_bytes=2 * size + 100) == size
    assert keys(store) == [c.key, b.key]
    assert store.prune(older_than=50) == size
    assert keys(store) == [b.key]
    assert store.prune(max_bytes=10 * size, older_than=50) == 0
    assert store.prune(everything=True) == size
    assert list(store.folder.glob("[!.]*")) == []
    assert list((store.folder / ".locks").iterdir()) == []


def test_a_limit_evicts_unused_entries(store: FeatureStore, fill: Fill) -> None:
    limited = FeatureStore(store.folder, 3 * FULL + 5000, shard_bytes=300)
    a, b, c = (fill(limited, name) for name in "abc")
    for entry, age in ((a, 300), (b, 200), (c, 100)):
        used_at(entry, age)
    features = a.open()
    used_at(a, 400)
    d = fill(limited, "d")
    assert sorted(keys(limited)) == sorted([a.key, c.key, d.key])
    np.testing.assert_array_equal(features[[94]], rows_of(range(94, 95)))
    features.close()
    used_at(a, 400)
    fill(limited, "e")
    assert a.key not in keys(limited)


def test_too_small_a_limit_is_said_before_anything_is_written(store: FeatureStore, fill: Fill) -> None:
    small = FeatureStore(store.folder, FULL // 2, shard_bytes=300)
    words = (
        r"needs 2.9 kB more; cache.max_size allows 2.1 kB, of which 0 bytes are in use — raise cache.max_size, or use"
    )
    with pytest.raises(ToolkitError, match=words):
        fill(small)
    assert small.list() == []
    a, b, c = (fill(store, name, rows=r) for name, r in (("a", 95), ("b", 60), ("c", 15)))
    sizes = {info.key: info.bytes for info in store.list()}
    limited = FeatureStore(store.folder, sizes[a.key] + sizes[b.key] + 95 * 30 - 1, shard_bytes=300)
    with a.open(), b.open(), pytest.raises(ToolkitError, match=r"cache\.max_size allows"):
        fill(limited, "d")
    assert sorted(keys(limited)) == sorted([a.key, b.key, c.key])  # c alone would not have been enough: it stays


def test_room_for_several_entries_keeps_them(store: FeatureStore, fill: Fill) -> None:
    limited = FeatureStore(store.folder, 2 * FULL + 4000, shard_bytes=300)
    a, b = fill(limited, "a"), fill(limited, "b")
    used_at(a, 300)
    limited.make_room(FULL, keep=[a.key])
    assert keys(limited) == [a.key]
    with pytest.raises(ToolkitError, match=r"raise cache.max_size"):
        limited.make_room(2 * FULL, keep=[a.key])
    assert not b.complete


def test_a_small_disk_is_said_before_anything_is_written(
    store: FeatureStore, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fill(store, "old")
    pretend_free(monkeypatch, 2**20 + 10)
    new = store.entry({"network": "new"})
    words = (
        r"needs 30.0 kB more; the disk has 1.0 MB free, and 5.\d kB of older features could go — free some space, set"
    )
    with pytest.raises(ToolkitError, match=words), new.writing(1000, (3, 5), "float16"):
        pass
    assert old.complete
    assert not new.folder.exists()
    fill(store, "new")  # older features make room
    assert keys(store) == [new.key]


def test_what_is_in_a_folder_that_cannot_be_written_is_read(
    store: FeatureStore, fill: Fill, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(store)

    def read_only(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("toolkit.cache.store.tempfile.TemporaryFile", read_only)
    found = usable_store(store.folder, None)
    assert capsys.readouterr().err.count("cannot be written") == 1
    with found.entry({"network": "a"}).open() as features:
        np.testing.assert_array_equal(features[np.arange(95)], rows_of(range(95)))
    assert fill(found, "b").folder.parent == found.folder != store.folder
