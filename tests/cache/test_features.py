"""Rows come back as they were written, in any order."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.cache.conftest import SHAPE, Fill, rows_of
from toolkit.cache import DtypeOverflowError, FeatureStore, feature_bytes
from toolkit.cache import features as features_module
from toolkit.core.errors import ToolkitError


@pytest.mark.parametrize("shard_rows", [10, 95, 2, 1000])
@pytest.mark.parametrize("mapped", [True, False])
def test_gather_is_numpys_fancy_indexing(
    tmp_path: Path, fill: Fill, monkeypatch: pytest.MonkeyPatch, shard_rows: int, mapped: bool
) -> None:
    monkeypatch.setattr(features_module, "_MAPPED", 10**6 if mapped else 0)
    store = FeatureStore(tmp_path, shard_bytes=shard_rows * 30)
    features = fill(store).open()
    whole = rows_of(range(95)).astype(np.float16)
    assert len(features) == 95
    assert features.shape == whole.shape
    assert features.dtype == whole.dtype
    assert features.nbytes == whole.nbytes == feature_bytes(95, SHAPE, "float16")
    random = np.random.default_rng(0)
    wanted = [random.integers(0, 95, size) for size in (1, 3, 32, 500)]
    wanted += [np.arange(95), np.zeros(4, np.int32), np.array([], np.int64), np.array([94, 0], np.uint8), [5, 5], []]
    for rows in wanted:
        found = features[rows]
        assert found.dtype == np.float16
        np.testing.assert_array_equal(found, whole[np.asarray(rows, np.int64)])
        assert found.flags.writeable


@pytest.mark.parametrize("rows", [[-1], [0, 95], [0.5], [True, False], [[1, 2]], 3, np.uint64(2**63), slice(3)])
def test_other_rows_are_refused(store: FeatureStore, fill: Fill, rows: object) -> None:
    features = fill(store).open()
    with pytest.raises(IndexError):
        features[rows]  # type: ignore[index]


def test_a_file_cut_short_while_in_use_is_no_silent_zero(
    store: FeatureStore, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features_module, "_MAPPED", 0)
    entry = fill(store)
    with entry.open() as features:
        os.truncate(entry.folder / "shard-00000.npy", 200)
        assert len(features[[0]]) == 1
        with pytest.raises(OSError, match="truncated while in use"):
            features[[9]]


def test_no_entry_has_more_than_64_files(tmp_path: Path, fill: Fill) -> None:
    entry = fill(FeatureStore(tmp_path, shard_bytes=1), rows=1000)
    assert len(list(entry.folder.glob("shard-*"))) == 63
    np.testing.assert_array_equal(entry.open()[np.arange(1000)], rows_of(range(1000)).astype(np.float16))


def test_closed_features_say_so(store: FeatureStore, fill: Fill) -> None:
    features = fill(store).open()
    kept = features[[1]]
    features.close()
    features.close()
    np.testing.assert_array_equal(kept, rows_of(range(1, 2)))
    with pytest.raises(RuntimeError, match="closed"):
        features[[1]]


def test_shards_are_plain_npy_files(store: FeatureStore, fill: Fill) -> None:
    entry = fill(store)
    parts = [np.load(path) for path in sorted(entry.folder.glob("shard-*.npy"))]
    assert [len(part) for part in parts] == [10] * 9 + [5]
    np.testing.assert_array_equal(np.concatenate(parts), rows_of(range(95)))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_numbers_keep_the_precision_of_their_dtype(store: FeatureStore, dtype: str) -> None:
    entry = store.entry({"dtype": dtype})
    values = np.random.default_rng(0).standard_normal((20, 7)).astype(np.float32)
    with entry.writing(20, (7,), dtype) as writer:
        writer.append(values)
    np.testing.assert_array_equal(entry.open()[np.arange(20)], values.astype(dtype))


def test_what_float16_cannot_hold_is_refused_and_fits_float32(store: FeatureStore) -> None:
    values = np.zeros((20, 7), np.float32)
    values[3, 2] = -70123.0
    entry = store.entry({"dtype": "float16"})
    with (
        entry.writing(20, (7,), "float16") as writer,
        pytest.raises(
            DtypeOverflowError, match=r"reach 70123, beyond float16's maximum 65504 — use cache.dtype: float32"
        ),
    ):
        writer.append(values)
    assert not entry.complete
    entry = store.entry({"dtype": "float32"})
    with entry.writing(20, (7,), "float32") as writer:
        writer.append(values)
    assert entry.open()[[3]][0, 2] == -70123.0


def test_the_largest_numbers_of_float16_pass_and_what_is_not_finite_stays_so(store: FeatureStore) -> None:
    values = np.array([[65504.0, -65504.0, np.inf, -np.inf, np.nan, 1e-9]], np.float32)
    entry = store.entry({})
    with entry.writing(1, (6,), "float16") as writer:
        writer.append(values)
    np.testing.assert_array_equal(entry.open()[[0]], values.astype(np.float16))


def test_blocks_must_fit(store: FeatureStore) -> None:
    with store.entry({}).writing(20, (7,), "float32") as writer:
        for wrong in (np.zeros((2, 6), np.float32), np.zeros((2, 7), np.int64), np.zeros(7, np.float32)):
            with pytest.raises(ValueError, match="expected floats"):
                writer.append(wrong)
        with pytest.raises(ValueError, match="not missing"):
            writer.append(np.zeros((21, 7), np.float32))


@pytest.mark.parametrize(("rows", "shape", "dtype"), [(0, (7,), "float16"), (5, (0,), "float16"), (5, (7,), "int8")])
def test_what_is_no_feature_set_is_refused(store: FeatureStore, rows: int, shape: tuple[int], dtype: str) -> None:
    with pytest.raises(ValueError, match="cannot keep"), store.entry({}).writing(rows, shape, dtype):
        pass


def test_an_incomplete_entry_cannot_be_read(store: FeatureStore, fill: Fill) -> None:
    with pytest.raises(ToolkitError, match="all rows are missing"):
        store.entry({"network": "new"}).open()
    with pytest.raises(ToolkitError, match="65 of 95 rows are missing — run again"):
        fill(store, stop=35).open()


def test_a_part_reads_its_own_rows(store: FeatureStore, fill: Fill) -> None:
    rows = rows_of(range(95)).astype(np.float16)
    part = fill(store).open().part(np.array([70, 2, 2]))
    assert part.shape == (3, *SHAPE)
    np.testing.assert_array_equal(part[[0, 2]], rows[[70, 2]])
    np.testing.assert_array_equal(part.part(np.array([1]))[[0]], rows[[2]])
    with pytest.raises(IndexError, match="not in 0"):
        part[[3]]
