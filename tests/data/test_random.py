"""The random numbers of an image are the first ones of numpy's own generators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.data import ArrayImages, Augmentation, BatchLoader, Preprocessing
from toolkit.data.random import generators, stream_states
from toolkit.data.sampling import BalancedSampler

INDICES, REPEATS = np.array([0, 1, 5, 77, 2**32 - 1, 4, 4]), np.array([0, 0, 1, 0, 2, 3, 2**31])
BOTH = list(zip(INDICES.tolist(), REPEATS.tolist(), strict=True))


def stream(seed: int, epoch: int, index: int, repeat: int) -> np.random.Generator:
    return np.random.default_rng((2, seed, epoch, index, *([repeat] if repeat else [])))


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**40 + 7, 2**100 + 3])
@pytest.mark.parametrize("epoch", [0, 3, 2**33])
def test_they_begin_like_those_of_numpy(seed: int, epoch: int) -> None:
    expected = [stream(seed, epoch, i, r).bit_generator.state for i, r in BOTH]
    assert stream_states(seed, epoch, INDICES, REPEATS) == expected
    assert stream_states(seed, epoch, INDICES[:4:2], REPEATS[:4:2]) == expected[:4:2]


def test_each_continues_like_a_separate_generator() -> None:
    def draw(rng: np.random.Generator) -> list[Any]:
        return [rng.random(), rng.integers(0, 99), *rng.random(3), rng.integers(0, 9, dtype=np.uint8), rng.normal()]

    drawn = [draw(rng) for rng in generators(stream_states(5, 2, INDICES, REPEATS))]
    assert drawn == [draw(stream(5, 2, i, r)) for i, r in BOTH]


def test_a_known_number() -> None:
    """A change in numpy must not change resumed runs."""
    [rng] = generators(stream_states(42, 7, np.array([123]), np.zeros(1, np.int64)))
    assert rng.integers(0, 2**32, 3).tolist() == [2041613279, 2101621144, 1366785065]


@pytest.mark.parametrize("workers", [0, 3])
def test_each_image_has_its_own_generator(picture: Callable[..., Any], workers: int) -> None:
    labels = np.array([0] * 7 + [1, 2])  # of the last two, each comes several times in an epoch
    images = ArrayImages(np.stack([picture(i, 20, 20) for i in range(9)]), labels, "pictures")
    preprocessing, augmentation = Preprocessing(16), Augmentation("strong", 16)
    loader = BatchLoader(
        images, preprocessing, batch_size=4, augmentation=augmentation, sampler=BalancedSampler(labels), seed=3,
        workers=workers,
    )  # fmt: skip
    loader.set_epoch(5)
    seen: Counter[int] = Counter()
    for batch in loader:
        for index, pixels in zip(batch.indices.tolist(), batch.inputs, strict=True):
            expected = augmentation(images.read(index), stream(3, 5, index, seen[index]))
            assert np.array_equal(pixels, preprocessing.normalise(expected))
            seen[index] += 1
    assert max(seen.values()) > 1
    assert np.array_equal(loader.view(8), augmentation(images.read(8), stream(3, 5, 8, 0)))
