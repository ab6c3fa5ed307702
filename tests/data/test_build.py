from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from toolkit.config import DataConfig
from toolkit.data import Preprocessing, build_data
from toolkit.data.augmentation import RECIPES
from toolkit.data.formats.registry import FORMATS

MakeFolder = Callable[..., Path]


def test_every_format_of_the_config_has_a_row() -> None:
    assert set(FORMATS) == set(get_args(DataConfig.model_fields["format"].annotation))
    for facts in FORMATS.values():
        assert {(facts.content, "standard"), (facts.content, "strong")} <= set(RECIPES)


def test_config_goes_before_the_facts_of_the_format(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 5, "b": 5})
    data = build_data(DataConfig(root=root))
    assert (data.crop_ratio, data.flip, data.test) == (0.875, "horizontal", None)
    data = build_data(DataConfig(root=root, crop_ratio=1.0, flip="both", test_fraction=0.2))
    assert (data.crop_ratio, data.flip) == (1.0, "both")
    assert {part: len(images) for part, images in data.splits.items()} == {"train": 6, "val": 2, "test": 2}
    assert data.evaluation == ("test", data.test)


def test_limiting_training_leaves_evaluation_alone(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 20, "b": 10})
    whole, small = build_data(DataConfig(root=root)), build_data(DataConfig(root=root, samples_per_class=3))
    assert small.val.fingerprint() == whole.val.fingerprint()
    assert small.counts()["train"] == {"a": 3, "b": 3}
    train = {whole.train.path(i) for i in range(len(whole.train))}
    assert {small.train.path(i) for i in range(6)} < train


def test_the_same_config_gives_the_same_data(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 20, "b": 20})
    config = DataConfig(root=root, samples_per_class=5)
    first = build_data(config)
    assert build_data(config).fingerprint() == first.fingerprint()
    other = build_data(config.model_copy(update={"split_seed": 1}))
    assert other.fingerprint() != first.fingerprint()
    reordered = build_data(config.model_copy(update={"classes": ("b", "a")}))
    assert reordered.fingerprint() != first.fingerprint()
    assert reordered.counts()["train"] == {"b": 5, "a": 5}


def test_augmentation_suits_the_data_set() -> None:
    data = build_data(DataConfig(format="digits"))
    augmentation = data.augmentation("standard", Preprocessing(32, 1.0))
    assert (augmentation.content, augmentation.flip, augmentation.image_size) == ("glyph", "none", 32)
    assert not data.augmentation("none", Preprocessing(32, 1.0)).is_random


@pytest.mark.parametrize("fraction", [0.1, 0.5])
def test_fraction_of_validation(make_folder: MakeFolder, fraction: float) -> None:
    data = build_data(DataConfig(root=make_folder({"a": 10, "b": 20}), val_fraction=fraction))
    assert data.counts()["val"] == {"a": 10 * fraction, "b": 20 * fraction}
