"""Which images an epoch takes."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.data import ArrayImages, Augmentation, Batch, BatchLoader, Preprocessing
from toolkit.data.sampling import (
    BalancedSampler,
    Sampler,
    ShuffledSampler,
    WeightedSampler,
    make_sampler,
    occurrences,
)

LABELS = np.repeat([0, 1, 2], [30, 6, 1])
SAMPLERS = (
    ShuffledSampler(37),
    BalancedSampler(LABELS),
    WeightedSampler(np.arange(37, dtype=float)),
)


@pytest.fixture
def images() -> ArrayImages:
    pixels = np.random.default_rng(0).integers(0, 256, (37, 16, 16, 3), dtype=np.uint8)
    return ArrayImages(pixels, LABELS, "unlike")


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
def test_an_order_is_a_pure_function_of_seed_and_epoch(sampler: Sampler) -> None:
    first = sampler.order(3, 7)
    sampler.order(3, 8)
    assert np.array_equal(first, sampler.order(3, 7))
    assert not np.array_equal(first, sampler.order(3, 8))
    assert not np.array_equal(first, sampler.order(4, 7))
    assert (first.dtype, len(first)) == (np.int64, len(sampler))
    assert first.min() >= 0
    assert first.max() < 37


def test_balanced_classes_come_equally_often_and_their_images_too() -> None:
    sampler = BalancedSampler(LABELS)
    assert len(sampler) == 39
    seen = np.zeros(37, int)
    for epoch in range(10):
        order = sampler.order(0, epoch)
        assert np.bincount(LABELS[order]).tolist() == [13, 13, 13]
        seen += np.bincount(order, minlength=37)
        for number in range(3):
            counts = seen[number == LABELS]
            assert counts.max() - counts.min() <= 1
    assert seen[-1] == 130


def test_weights_determine_frequency() -> None:
    weights = np.array([0.0, 1, 2, 1, 0, 6, 0.5, 0])
    counts = np.zeros(8)
    sampler = WeightedSampler(weights)
    expected = 8 * weights / weights.sum()
    for epoch in range(400):
        drawn = np.bincount(sampler.order(1, epoch), minlength=8)
        assert (np.abs(drawn - expected) < 1).all()
        counts += drawn
    assert counts / 400 == pytest.approx(expected, abs=0.08)
    for wrong in ([0.0, 0.0], [1.0, -1.0], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="weights"):
            WeightedSampler(np.array(wrong))


def test_images_of_weight_zero_are_left_out(images: ArrayImages) -> None:
    assert make_sampler("natural", images) is None
    assert make_sampler("natural", images.with_weights(np.full(37, 0.5))) is None
    weights = np.ones(37)
    weights[[0, 5, 36]] = 0
    light = images.with_weights(weights)
    natural, balanced = make_sampler("natural", light), make_sampler("balanced", light)
    assert natural is not None
    assert balanced is not None
    assert sorted(natural.order(0, 0)) == [i for i in range(37) if weights[i]]
    order = np.concatenate([balanced.order(0, epoch) for epoch in range(5)])
    assert sorted(set(order.tolist())) == [i for i in range(37) if weights[i]]
    assert np.bincount(LABELS[order]).tolist() == [85, 85]


def test_occurrences() -> None:
    assert occurrences(np.array([3, 1, 3, 3, 0, 1])).tolist() == [0, 0, 1, 2, 0, 1]
    assert occurrences(np.zeros(0, np.int64)).tolist() == []


def batches(images: ArrayImages, workers: int, **options: object) -> list[Batch]:
    preprocessing = Preprocessing(16, 1.0)
    loader = BatchLoader(
        images,
        preprocessing,
        batch_size=8,
        sampler=BalancedSampler(images.labels),
        augmentation=Augmentation("standard", 16, "horizontal", "photo", 1.0),
        workers=workers,
        seed=5,
        **options,  # type: ignore[arg-type]
    )
    loader.set_epoch(2)
    assert [batch.tolist() for batch in loader.index_batches()] == [batch.indices.tolist() for batch in loader]
    return list(loader)


def test_sampled_batches_are_the_same_for_any_number_of_workers(images: ArrayImages) -> None:
    alone = batches(images, 0)
    assert sum(map(len, alone)) == 39
    for other in (batches(images, 1), batches(images, 3)):
        for one, two in zip(alone, other, strict=True):
            assert np.array_equal(one.inputs, two.inputs)
            assert np.array_equal(one.indices, two.indices)
            assert np.array_equal(one.labels, two.labels)


def test_a_repeated_image_is_augmented_differently(images: ArrayImages) -> None:
    found = batches(images, 0)
    only = [row for batch in found for row, index in zip(batch.inputs, batch.indices, strict=True) if index == 36]
    assert len(only) == 13
    assert len({row.tobytes() for row in only}) == 13


def test_processes_share_the_order(images: ArrayImages) -> None:
    order = BalancedSampler(images.labels).order(5, 2)
    for world in (1, 2, 3):
        parts = [batches(images, 0, rank=rank, world_size=world) for rank in range(world)]
        assert len({len(part) for part in parts}) == 1
        shares = [np.concatenate([batch.indices for batch in part]) for part in parts]
        assert all(np.array_equal(share, order[rank::world]) for rank, share in enumerate(shares))


def test_samplers_refuse_images_without_what_they_need(images: ArrayImages) -> None:
    with pytest.raises(ValueError, match="weights"):
        make_sampler("weighted", images)
    with pytest.raises(ValueError, match="classes"):
        make_sampler("balanced", ArrayImages(images._pixels, np.zeros((37, 2), np.float32), "rows"))
