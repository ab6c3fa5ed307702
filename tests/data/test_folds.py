"""Folds of the training images: stratified, disjoint, copies together, nothing else takes part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.config import DataConfig
from toolkit.core.errors import ConfigError, DataError
from toolkit.data import ArrayImages, FileImages, build_data
from toolkit.data.duplicates import find_copies
from toolkit.data.split import folds_by_class
from toolkit.data.stratify import folds_by_labels, folds_by_targets

NAMES = ("a", "b", "c")


def arrays(labels: NDArray[np.generic]) -> ArrayImages:
    return ArrayImages(np.zeros((len(labels), 2, 2), np.uint8), labels, "x")


def test_every_fold_holds_out_an_equal_share_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [10, 11, 4])
    owner = folds_by_class(arrays(labels), NAMES, 5, seed=0)
    table = np.array([np.bincount(owner[labels == index], minlength=5) for index in range(3)])
    assert (table.max(axis=1) - table.min(axis=1) <= 1).all()
    assert table.sum(axis=0).tolist() == [5, 5, 5, 5, 5]


def test_a_class_with_one_image_is_always_learned_from() -> None:
    owner = folds_by_class(arrays(np.array([0, 1, 1, 2, 2])), NAMES, 3, seed=0)
    assert owner[0] == -1
    assert (owner[1:] >= 0).all()


def test_folds_depend_on_the_seed_only() -> None:
    labels = np.repeat([0, 1, 2], 20)
    first, again, other = (folds_by_class(arrays(labels), NAMES, 4, seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("assign", [folds_by_labels, folds_by_targets])
def test_rows_of_labels_and_targets_are_spread_over_the_folds(assign: Callable[..., NDArray[np.int64]]) -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 2)) < 0.3).astype(np.float32)
    labels[:, 1] = rng.random(60) if assign is folds_by_targets else labels[:, 1]
    owner = assign(arrays(labels), ("p", "q"), 4, 0)
    sizes = np.bincount(owner, minlength=4)
    assert sizes.sum() == 60
    assert sizes.max() - sizes.min() <= 2
    assert np.ptp([labels[owner == fold, 0].sum() for fold in range(4)]) <= 2


def write(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8))


def test_copies_stay_in_one_fold(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(12)]
    for number, path in enumerate(paths):
        write(path, number // 2)
    images = FileImages(paths, np.zeros(12, np.int64))
    owner = folds_by_class(images, ("a",), 3, 0, find_copies({"train": images}))
    assert (owner[::2] == owner[1::2]).all()
    assert sorted(np.bincount(owner)) == [4, 4, 4]


def test_validation_and_test_images_take_no_part(tmp_path: Path) -> None:
    for split, count in (("train", 6), ("val", 4), ("test", 4)):
        for label in ("a", "b"):
            for number in range(count):
                write(tmp_path / split / label / f"{number}.png", len(list(tmp_path.rglob("*.png"))))
    held: list[str] = []
    for number in (1, 2, 3):
        data = build_data(DataConfig(root=tmp_path, fold=f"{number}/3"))
        assert (len(data.train), len(data.val), data.test) == (8, 4, None)
        held += [data.val.path(index) for index in range(4)]
        assert not {data.train.path(index) for index in range(8)} & set(held[-4:])
    assert len(set(held)) == 12
    assert all("train" in path for path in held)


def test_a_part_knows_its_whole_until_its_pixels_change() -> None:
    whole = arrays(np.arange(6))
    part = whole.part([4, 1])
    assert part.whole is not None
    assert part.whole[0] is whole
    assert part.whole[1].tolist() == [4, 1]
    assert part.take([0]).whole is None
    assert part.with_channels(1).whole is None


def test_more_folds_than_images() -> None:
    with pytest.raises(DataError, match="too few for 50 folds"):
        build_data(DataConfig(format="digits", samples_per_class=2, classes=("1", "2"), fold="50/50"))


@pytest.mark.parametrize("fold", ["0/3", "4/3", "1/1"])
def test_a_fold_that_does_not_exist(fold: str) -> None:
    with pytest.raises((ConfigError, ValueError), match="fold is"):
        DataConfig(fold=fold)
