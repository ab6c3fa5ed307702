from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from toolkit.core.errors import DataError
from toolkit.data import ArrayImages, Augmentation, Batch, BatchLoader, ImageSet, Preprocessing
from toolkit.data.pool import ReaderPool

PREPROCESSING = Preprocessing(16, 1.0)


class Watched(ImageSet):
    """Counts its reads, and may be slow or have a bad image."""

    def __init__(self, count: int, bad: int | None = None, delay: float = 0.0) -> None:
        super().__init__(np.arange(count) % 3)
        self.reads: list[int] = []
        self._bad, self._delay = bad, delay

    def read(self, index: int) -> Any:
        self.reads.append(index)
        time.sleep(self._delay)
        if index == self._bad:
            raise DataError(f"cannot read image {self.path(index)}: damaged")
        return np.full((16, 16, 3), index, np.uint8)

    def path(self, index: int) -> str:
        return f"watched/{index}"

    def take(self, indices: npt.ArrayLike, labels: npt.ArrayLike | None = None) -> Watched:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return "watched"

    def pixels_fingerprint(self, *, content: bool = False) -> str:
        return "watched"


@pytest.fixture
def images(picture: Callable[..., Any]) -> ArrayImages:
    return ArrayImages(np.stack([picture(i, 20, 20) for i in range(37)]), np.arange(37) % 5, "pictures")


def pool_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("images")]


def equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        np.array_equal(a.inputs, b.inputs)
        and np.array_equal(a.labels, b.labels)
        and np.array_equal(a.indices, b.indices)
        for a, b in zip(first, second, strict=True)
    )


def test_evaluation_yields_every_image_once_in_order(images: ArrayImages) -> None:
    loader = BatchLoader(images, PREPROCESSING, batch_size=8, workers=2)
    batches = list(loader)
    assert len(batches) == len(loader) == 5
    assert [len(batch) for batch in batches] == [8, 8, 8, 8, 5]
    assert np.concatenate([batch.indices for batch in batches]).tolist() == list(range(37))
    for batch in batches:
        assert batch.inputs.shape == (len(batch), 3, 16, 16)
        assert (batch.inputs.dtype, batch.labels.dtype, batch.indices.dtype) == (np.float32, np.int64, np.int64)
        assert np.array_equal(batch.labels, images.labels[batch.indices])
        for row, index in enumerate(batch.indices):
            assert np.array_equal(batch.inputs[row], PREPROCESSING.apply(images.read(int(index))))


@pytest.mark.parametrize("level", ["none", "standard", "strong"])
def test_batches_do_not_depend_on_the_number_of_workers(images: ArrayImages, level: str) -> None:
    def batches(workers: int) -> list[Batch]:
        loader = BatchLoader(
            images, PREPROCESSING, batch_size=8, augmentation=Augmentation(level, 16), shuffle=True, seed=3,
            workers=workers,
        )  # fmt: skip
        loader.set_epoch(2)
        return list(loader)

    alone = batches(0)
    assert equal(alone, batches(1))
    assert equal(alone, batches(3))
    assert equal(alone, batches(11))


def test_order_and_changes_depend_on_seed_and_epoch(images: ArrayImages) -> None:
    def batches(seed: int, epoch: int) -> list[Batch]:
        loader = BatchLoader(
            images, PREPROCESSING, batch_size=37, augmentation=Augmentation("standard", 16), shuffle=True, seed=seed
        )
        loader.set_epoch(epoch)
        return list(loader)

    assert equal(batches(0, 1), batches(0, 1))
    orders = [batches(seed, epoch)[0].indices.tolist() for seed, epoch in [(0, 0), (0, 1), (1, 0), (1, 1)]]
    assert len({tuple(order) for order in orders}) == 4
    assert all(sorted(order) == list(range(37)) for order in orders)
    first, second = batches(0, 0)[0], batches(0, 1)[0]
    same_picture = [b.inputs[b.indices.tolist().index(5)] for b in (first, second)]
    assert not np.array_equal(*same_picture)
    reseeded = batches(1, 0)[0]
    assert not np.array_equal(same_picture[0], reseeded.inputs[reseeded.indices.tolist().index(5)])
    assert np.array_equal(first.labels, images.labels[first.indices])


def test_a_loader_can_be_iterated_again_and_twice_at_once(images: ArrayImages) -> None:
    loader = BatchLoader(images, PREPROCESSING, batch_size=8, shuffle=True, workers=2)
    assert equal(list(loader), list(loader))
    pairs = list(zip(loader, loader, strict=True))
    assert equal([a for a, _ in pairs], [b for _, b in pairs])


def test_index_batches_and_view_are_what_the_iteration_gives(images: ArrayImages) -> None:
    loader = BatchLoader(
        images, PREPROCESSING, batch_size=8, augmentation=Augmentation("strong", 16), shuffle=True, workers=2
    )
    loader.set_epoch(4)
    batches = list(loader)
    assert [b.indices.tolist() for b in batches] == [rows.tolist() for rows in loader.index_batches()]
    index = int(batches[0].indices[3])
    assert np.array_equal(PREPROCESSING.normalise(loader.view(index)), batches[0].inputs[3])


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_parts_that_are_read_ahead_are_those_that_are_read(images: ArrayImages, workers: int) -> None:
    augmentation = Augmentation("strong", 16)
    loader = BatchLoader(images, PREPROCESSING, batch_size=8, augmentation=augmentation, workers=workers)
    parts = [np.arange(5, 21), np.arange(21, 23), np.arange(30, 37), np.arange(5)]
    ahead = list(loader.read_ahead(parts, 3))
    with ReaderPool(2, 10) as pool:
        for part, inputs in zip(parts, ahead, strict=True):
            assert np.array_equal(inputs, loader.read(part, 3))
            assert np.array_equal(inputs, loader.read(part, 3, pool))
    assert not pool_threads()


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("bad", [0, 20, 39])
def test_a_bad_image_raises_in_the_consumer(workers: int, bad: int) -> None:
    loader = BatchLoader(Watched(40, bad=bad), PREPROCESSING, batch_size=8, workers=workers)
    seen = 0
    with pytest.raises(DataError, match=f"watched/{bad}:"):
        for batch in loader:
            seen += len(batch)
    assert seen == bad // 8 * 8  # all batches before the bad one
    assert not pool_threads()


def test_leaving_early_ends_the_threads() -> None:
    images = Watched(400, delay=0.001)
    iterator = iter(BatchLoader(images, PREPROCESSING, batch_size=8, workers=3))
    next(iterator)
    assert pool_threads()
    time.sleep(0.3)
    iterator.close()  # type: ignore[attr-defined]
    assert not pool_threads()
    assert len(images.reads) <= 8 * 4  # only a few batches are made ahead


def test_breaking_out_of_the_loop_ends_the_threads() -> None:
    for _ in BatchLoader(Watched(400), PREPROCESSING, batch_size=8, workers=3):
        break
    assert not pool_threads()


@pytest.mark.parametrize("shuffle", [False, True])
def test_ranks_share_every_image_once(images: ArrayImages, shuffle: bool) -> None:
    per_rank = []
    for rank in range(3):
        loader = BatchLoader(images, PREPROCESSING, batch_size=4, shuffle=shuffle, rank=rank, world_size=3, workers=1)
        loader.set_epoch(1)
        batches = list(loader)
        assert len(batches) == len(loader)
        per_rank.append(np.concatenate([batch.indices for batch in batches]).tolist())
    assert sorted(index for rank in per_rank for index in rank) == list(range(37))


def test_drop_last_leaves_full_batches_only(images: ArrayImages) -> None:
    loader = BatchLoader(images, PREPROCESSING, batch_size=8, shuffle=True, drop_last=True)
    assert [len(batch) for batch in loader] == [8] * 4 == [8] * len(loader)


def test_training_without_a_batch_is_refused(images: ArrayImages) -> None:
    with pytest.raises(DataError, match="37 training images leave no batch of 64"):
        BatchLoader(images, PREPROCESSING, batch_size=64, shuffle=True, drop_last=True)
    with pytest.raises(DataError, match="0 training images"):
        BatchLoader(images.take([]), PREPROCESSING, batch_size=64, shuffle=True)


def test_sizes_must_agree(images: ArrayImages) -> None:
    with pytest.raises(ValueError, match="32 px, not 16"):
        BatchLoader(images, PREPROCESSING, batch_size=8, augmentation=Augmentation("standard", 32))
