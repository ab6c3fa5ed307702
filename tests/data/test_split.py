from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from toolkit.core.errors import DataError
from toolkit.data import ArrayImages
from toolkit.data.split import limit_per_class, split_by_class

NAMES = ("a", "b", "c")


def whole(*counts: int) -> ArrayImages:
    labels = np.concatenate([np.full(count, label) for label, count in enumerate(counts)])
    return ArrayImages(np.zeros((len(labels), 2, 2), np.uint8), labels, "x")


def paths(images: object) -> set[str]:
    assert isinstance(images, ArrayImages)
    return {images.path(i) for i in range(len(images))}


def test_each_class_gives_its_share_and_nothing_is_lost() -> None:
    parts = split_by_class({"train": whole(10, 50, 7)}, NAMES, 0.2, 0.1, seed=0)
    counts = {part: np.bincount(images.labels).tolist() for part, images in parts.items()}
    assert counts == {"train": [7, 35, 5], "val": [2, 10, 1], "test": [1, 5, 1]}
    sets = [paths(images) for images in parts.values()]
    assert len(set.union(*sets)) == sum(map(len, sets)) == 67


def test_small_classes_keep_one_everywhere() -> None:
    parts = split_by_class({"train": whole(3, 3, 4)}, NAMES, 0.6, 0.3, seed=0)
    assert {part: np.bincount(images.labels).tolist() for part, images in parts.items()} == {
        "train": [1, 1, 1], "val": [1, 1, 2], "test": [1, 1, 1],
    }  # fmt: skip


def test_too_small_classes_are_named() -> None:
    with pytest.raises(DataError, match=r"2 splits \(train, val\): b \(1\)$"):
        try:
            split_by_class({"train": whole(3, 1, 4)}, NAMES, 0.2, 0.0, seed=0)
        except DataError as error:
            raise DataError(error.message) from error
    with pytest.raises(DataError, match=r"3 splits \(train, val, test\): b \(1\), c \(2\)"):
        split_by_class({"train": whole(3, 1, 2)}, NAMES, 0.2, 0.1, seed=0)


def test_own_parts_stay_as_they_are() -> None:
    own = {"train": whole(1, 1, 1), "val": whole(1, 1, 1)}
    assert split_by_class(own, NAMES, 0.2, 0.0, seed=0) == own


def test_the_split_depends_on_the_seed_only() -> None:
    def val(seed: int) -> set[str]:
        return paths(split_by_class({"train": whole(20, 20, 20)}, NAMES, 0.2, 0.0, seed)["val"])

    assert val(0) == val(0)
    assert len({frozenset(val(seed)) for seed in range(5)}) == 5


def test_smaller_sets_are_parts_of_larger_ones() -> None:
    images = whole(20, 4, 20)
    sizes = [1, 2, 5, 10]
    sets = [limit_per_class(images, NAMES, most, seed=3) for most in sizes]
    for most, smaller in zip(sizes, sets, strict=True):
        assert np.bincount(smaller.labels).tolist() == [most, min(most, 4), most]
    for smaller, larger in pairwise(sets):
        assert paths(smaller) < paths(larger)
    assert paths(limit_per_class(images, NAMES, 5, seed=4)) != paths(sets[2])
