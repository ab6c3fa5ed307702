"""What is not as it was written is noticed, said in one line, and never used."""

from __future__ import annotations

import json
import os
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.cache.conftest import SHARD_BYTES, Fill, rows_of
from toolkit.cache import Entry, FeatureStore
from toolkit.cache.key import canonical


def reopened(store: FeatureStore, entry: Entry) -> Entry:
    """The entry as another process sees it."""
    return FeatureStore(store.folder, shard_bytes=SHARD_BYTES).entry(entry.facts)


def shards(entry: Entry) -> list[Path]:
    return sorted(entry.folder.glob("shard-*.npy"))


def flip(path: Path, place: int, bit: int) -> None:
    """Flip one bit, and leave size and time as they are."""
    stat = path.stat()
    data = bytearray(path.read_bytes())
    data[place] ^= 1 << bit
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def check_repair(store: FeatureStore, entry: Entry, fill: Fill, missing: list[range]) -> None:
    """The entry asks for just these rows, and is right afterwards."""
    again = reopened(store, entry)
    assert not again.complete
    assert again.missing(95) == missing
    with again.writing(95, (3, 5), "float16") as writer:
        assert list(writer.missing) == missing
    fill(FeatureStore(store.folder, shard_bytes=SHARD_BYTES))
    np.testing.assert_array_equal(reopened(store, entry).open()[np.arange(95)], rows_of(range(95)))


def test_a_flipped_bit_in_any_shard_is_found(store: FeatureStore, fill: Fill, capsys) -> None:
    entry = fill(store)
    random = np.random.default_rng(0)
    for number, path in enumerate(shards(entry)):
        size = path.stat().st_size
        for place in (0, 20, size - 1, int(random.integers(size))):
            bit = int(random.integers(8))
            flip(path, place, bit)
            rows = range(number * 10, min(number * 10 + 10, 95))
            assert reopened(store, entry).missing(95) == [rows]
            said = capsys.readouterr().err
            assert f"{path.name} is damaged (wrong checksum)" in said
            assert said.count("\n") == 1
            flip(path, place, bit)
            assert reopened(store, entry).complete
    flip(shards(entry)[4], 130, 3)
    check_repair(store, entry, fill, [range(40, 50)])


def test_shards_that_are_cut_short_longer_or_gone_are_found(store: FeatureStore, fill: Fill, capsys) -> None:
    entry = fill(store)
    files = shards(entry)
    files[0].write_bytes(files[0].read_bytes()[:-1])
    files[1].write_bytes(files[1].read_bytes() + b"x")
    files[2].write_bytes(b"")
    files[9].unlink()
    check_repair(store, entry, fill, [range(30), range(90, 95)])
    said = capsys.readouterr().err
    for words in (f"bytes, not {128 + 300}", "has 0 bytes", "shard-00009.npy is missing"):
        assert words in said


def test_damage_is_reported_once_per_process(store: FeatureStore, fill: Fill, capsys) -> None:
    entry = fill(store)
    flip(shards(entry)[3], 200, 0)
    other = reopened(store, entry)
    assert not other.complete
    assert not other.complete
    other.missing(95)
    assert capsys.readouterr().err.count("damaged") == 1


def test_damage_after_the_check_is_found_by_the_next_open(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store)
    assert entry.complete
    path = shards(entry)[3]
    data = bytearray(path.read_bytes())
    data[200] ^= 1
    path.write_bytes(data)
    assert not entry.complete


def changed_index(entry: Entry, seal: bool, **values: object) -> None:
    path = entry.folder / "entry.json"
    data = json.loads(path.read_text()) | values
    if seal:
        data.pop("crc32")
        data["crc32"] = f"{zlib.crc32(canonical(data)):08x}"
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("seal", "values", "words"),
    [
        (True, {"format": 3}, "of another version of the toolkit (format 3, not 2)"),
        (False, {"rows": 94}, "entry.json is damaged (wrong checksum)"),
        (True, {"facts": {"network": "b"}}, "entry.json belongs to other features"),
    ],
)
def test_an_index_that_cannot_be_believed_is_not_used(
    store: FeatureStore, fill: Fill, capsys, seal: bool, values: dict[str, object], words: str
) -> None:
    entry = fill(store)
    changed_index(entry, seal, **values)
    assert words in str(reopened(store, entry).complete) + capsys.readouterr().err
    assert [info.problem for info in store.list()] == [words]
    check_repair(store, entry, fill, [range(95)])


@pytest.mark.parametrize("text", ["", "{", "[]", "\x00" * 50, "null", '{"format": 2}'])
def test_a_spoilt_index_is_rebuilt(store: FeatureStore, fill: Fill, text: str) -> None:
    entry = fill(store)
    (entry.folder / "entry.json").write_text(text)
    check_repair(store, entry, fill, [range(95)])


def test_every_flipped_bit_of_the_index_is_found_or_harmless(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store, rows=15)
    path = entry.folder / "entry.json"
    before = path.read_bytes()
    for place in range(len(before)):
        flip(path, place, place % 8)
        if reopened(store, entry).complete:
            np.testing.assert_array_equal(reopened(store, entry).open()[np.arange(15)], rows_of(range(15)))
        path.write_bytes(before)


def test_the_same_facts_with_another_shape_are_computed_anew(store: FeatureStore, fill: Fill, capsys) -> None:
    entry = fill(store)
    with reopened(store, entry).writing(90, (3, 5), "float16") as writer:
        assert list(writer.missing) == [range(90)]
    assert "holds 95 rows (3, 5) of float16; recomputing" in capsys.readouterr().err


def test_foreign_files_are_named_and_left_alone(store: FeatureStore, fill: Fill, capsys) -> None:
    entry = fill(store, stop=35)
    (entry.folder / "photo.jpg").write_bytes(b"mine")
    fill(store)
    assert "photo.jpg do not belong there; leaving them" in capsys.readouterr().err
    assert [(p.file, p.what, p.fixed) for p in store.verify(fix=True)] == [
        ("photo.jpg", "does not belong there", False)
    ]
    store.prune(everything=True)
    assert [path.name for path in entry.folder.iterdir()] == ["photo.jpg"]
    assert store.list() == []


def test_folders_that_are_not_entries_are_not_touched(tmp_path: Path, fill: Fill) -> None:
    (tmp_path / "entry.json").write_text("mine")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "shard-00000.npy").write_text("mine")
    store = FeatureStore(tmp_path)
    fill(store)
    store.verify(fix=True)
    assert store.prune(everything=True) > 0
    assert (tmp_path / "entry.json").read_text() == "mine"
    assert (tmp_path / "photos" / "shard-00000.npy").read_text() == "mine"


def test_entries_of_format_1_are_listed_and_pruned(store: FeatureStore) -> None:
    old = store.folder / ("0" * 32)
    old.mkdir(parents=True)
    (old / "features.npy").write_bytes(b"x" * 1000)
    (old / "done.json").write_text("{}")
    assert [(info.bytes, info.problem) for info in store.list()] == [
        (1002, "of another version of the toolkit (format 1)")
    ]
    assert store.prune(everything=True) == 1002
    assert not old.exists()


def test_verify_finds_everything_and_mends_it(store: FeatureStore, fill: Fill) -> None:
    assert store.verify() == []
    good, bad, lost = fill(store, "good"), fill(store, "bad"), fill(store, "lost")
    assert store.verify() == []
    flip(shards(bad)[2], 150, 1)
    shards(bad)[7].unlink()
    (bad.folder / ".shard-00000.npy.0123abcd.tmp").write_bytes(b"half")
    (lost.folder / "entry.json").write_text("{")
    for fix in (False, True):
        found = {(p.key, p.file): (p.what, p.fixed) for p in store.verify(fix)}
        assert found == {
            (bad.key, "shard-00002.npy"): ("is damaged (wrong checksum)", fix),
            (bad.key, "shard-00007.npy"): ("is missing", fix),
            (bad.key, ".shard-00000.npy.0123abcd.tmp"): ("was left behind by a killed process", fix),
            (lost.key, "entry.json"): ("entry.json is damaged (not JSON)", fix),
        }
    assert store.verify() == []
    assert good.complete
    assert not lost.folder.exists()
    assert reopened(store, bad).missing(95) == [range(20, 30), range(70, 80)]


def test_verify_does_not_mend_what_is_in_use(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store)
    features = entry.open()
    flip(shards(entry)[2], 150, 1)
    assert [(p.what, p.fixed) for p in store.verify(fix=True)] == [
        ("is damaged (wrong checksum); in use, not removed", False)
    ]
    features.close()
    assert [p.fixed for p in store.verify(fix=True)] == [True]


def test_temporary_files_of_killed_processes_go(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store, stop=35)
    old, new = (entry.folder / f".shard-00003.npy.0000000{n}.tmp" for n in (1, 2))
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000,) * 2)
    assert store.prune(max_bytes=10**9) == 4
    assert not old.exists()
    assert new.exists()
    fill(store)
    assert not new.exists()
