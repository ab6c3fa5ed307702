from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.data import Augmentation, Batch, BatchLoader, FileImages, ImageCache, Preprocessing, image_cache
from toolkit.data import images as images_module

PREPROCESSING = Preprocessing(24)


@pytest.fixture
def images(make_folder: Callable[..., Path]) -> FileImages:
    paths = sorted(make_folder({"a": 10}).rglob("*.jpg"))
    return FileImages(paths, np.arange(10) % 2)


def epochs(images: FileImages, level: str | None, cache: ImageCache | None, **options: Any) -> list[Batch]:
    augmentation = None if level is None else Augmentation(level, 24)
    loader = BatchLoader(
        images, PREPROCESSING, batch_size=4, augmentation=augmentation, shuffle=True, cache=cache, **options
    )
    batches = []
    for epoch in range(3):
        loader.set_epoch(epoch)
        batches += list(loader)
    return batches


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("level", [None, "standard", "strong"])
@pytest.mark.parametrize("room", [0, 30_000, 10**9])
def test_the_batches_are_the_same_to_the_bit(
    images: FileImages, level: str | None, fast: bool, room: int, workers: int
) -> None:
    """Images of 48 x 40: below twice 24, so that no crop is taken from a reduced one."""
    cache = ImageCache(room)
    expected = epochs(images, level, None, fast_decoding=fast)
    cached = epochs(images, level, cache, fast_decoding=fast, workers=workers)
    for first, second in zip(expected, cached, strict=True):
        assert np.array_equal(first.inputs, second.inputs)
        assert np.array_equal(first.indices, second.indices)
    assert cache.used <= room
    assert len(cache) == (10 if room == 10**9 else cache.used // (24 * 24 * 3 if level is None else 48 * 40 * 3))


def test_every_file_is_read_once(images: FileImages, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = images_module.read_image
    monkeypatch.setattr(images_module, "read_image", lambda path, *rest: (reads.append(path), read(path, *rest))[1])
    epochs(images, None, ImageCache(10**9), workers=0)
    assert sorted(reads) == sorted(images.files)


def test_large_images_are_cached_small_and_train_nearly_the_same(
    picture: Callable[..., Any], save: Callable[..., Path], tmp_path: Path
) -> None:
    files = [save(tmp_path / f"{i}.jpg", picture(i, 400, 480)) for i in range(6)]
    images = FileImages(files, np.zeros(6))
    cache = ImageCache(10**9)
    cached = np.concatenate([b.inputs for b in epochs(images, "standard", cache)])
    expected = np.concatenate([b.inputs for b in epochs(images, "standard", None)])
    assert cache.used == 6 * 50 * 60 * 3  # 1/8: every crop of a short side of 47 or more has 24 rows and columns
    assert Augmentation("standard", 24).least_side == 47
    assert np.abs(cached - expected).mean() < 0.2  # the same crops, to half a pixel of 60 x 50
    assert np.abs(np.roll(cached, 6, axis=0) - expected).mean() > 0.6  # those of another epoch
    again = np.concatenate([b.inputs for b in epochs(images, "standard", cache, workers=2)])
    assert np.array_equal(again, cached)


def test_two_sizes_share_a_cache(images: FileImages) -> None:
    cache = ImageCache(10**9)
    for size in (16, 24):
        loader = BatchLoader(images, Preprocessing(size), batch_size=10, cache=cache, workers=1)
        plain = BatchLoader(images, Preprocessing(size), batch_size=10, workers=1)
        assert np.array_equal(next(iter(loader)).inputs, next(iter(plain)).inputs)
    assert len(cache) == 20


def test_what_is_kept_cannot_be_written_to_and_holds_nothing_else() -> None:
    cache = ImageCache(10**6)
    large = np.zeros((100, 100, 3), np.uint8)
    kept = cache.get("a", lambda: large[:10, :10])
    assert kept.base is None
    assert cache.used == 300
    with pytest.raises(ValueError, match="read-only"):
        kept[:] = 1
    large[:] = 9  # the input is not modified


def test_a_full_cache_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    cache = ImageCache(500)
    for number in range(5):
        cache.get(number, lambda: np.zeros((10, 10, 3), np.uint8))
    assert len(cache) == 1
    said = "".join(capsys.readouterr())
    assert said.count("is full") == 1


def test_half_of_the_free_memory_is_used_and_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_cache, "free_memory", lambda: 8 * 10**9)
    assert ImageCache().room == 4 * 10**9
    assert "4.0 GB (50% of what is free)" in " ".join("".join(capsys.readouterr()).split())


def test_the_least_of_system_and_control_group_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def file(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    meminfo = file("meminfo", "MemTotal: 100 kB\nMemAvailable:    5000 kB\n")
    used, limit = file("used", "1000\n"), file("limit", "max\n")
    monkeypatch.setattr(image_cache, "_MEMINFO", meminfo)
    monkeypatch.setattr(image_cache, "_CGROUP", ((limit, used),))
    assert image_cache.free_memory() == 5000 * 1024
    limit.write_text("4000\n")
    assert image_cache.free_memory() == 3000
    used.write_text("9000\n")
    assert image_cache.free_memory() == 0
    monkeypatch.setattr(image_cache, "_CGROUP", ())
    monkeypatch.setattr(image_cache, "_MEMINFO", tmp_path / "gone")
    assert image_cache.free_memory() > 0
