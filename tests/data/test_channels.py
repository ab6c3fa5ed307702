"""Images of any number of channels, from pixels to batches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.data.conftest import MANY, bands
from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import (
    ArrayImages,
    Augmentation,
    BatchLoader,
    FileImages,
    Preprocessing,
    as_rgb,
    build_data,
)  # fmt: skip
from toolkit.data.augmentation import RECIPES, Recipe, _random_colour, _random_rotation
from toolkit.data.channels import fit_channels
from toolkit.data.preprocessing import resize

# Pixels


def test_fit_and_show() -> None:
    assert fit_channels(bands(4), 4).shape == (40, 48, 4)
    assert np.array_equal(as_rgb(bands(1)), np.repeat(bands(1), 3, axis=2))
    assert np.array_equal(as_rgb(bands(2)), np.repeat(bands(2)[:, :, :1], 3, axis=2))
    assert np.array_equal(as_rgb(bands(13)), bands(13)[:, :, :3])


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize("shape", [(1, 1), (40, 48), (200, 37)])
def test_resize_treats_every_channel_alike(count: int, shape: tuple[int, int]) -> None:
    image = bands(count, *shape)
    small = resize(image, 24, 20)
    assert small.shape == (24, 20, count)
    alone = np.dstack([resize(np.ascontiguousarray(image[:, :, c : c + 1]), 24, 20) for c in range(count)])
    assert np.abs(small.astype(int) - alone).max() <= 2  # OpenCV rounds differently with and without SIMD


@pytest.mark.parametrize("count", MANY)
@pytest.mark.parametrize(("content", "level"), list(RECIPES))
def test_every_recipe_takes_every_number_of_channels(count: int, content: Any, level: str) -> None:
    image = bands(count)
    before = image.copy()
    augmentation = Augmentation(level, 32, "both", content)
    for seed in range(10):
        result = augmentation(image, np.random.default_rng(seed))
        assert (result.shape, result.dtype) == ((32, 32, count), np.uint8)
        assert np.array_equal(result, augmentation(image, np.random.default_rng(seed)))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("count", MANY)
def test_rotation_turns_all_channels_together(count: int) -> None:
    same = np.repeat(bands(1), count, axis=2)
    turned = _random_rotation(same, 15, np.random.default_rng(0))
    assert turned.shape == same.shape
    assert np.ptp(turned.astype(int), axis=2).max() == 0
    assert not np.array_equal(turned, same)


def test_light_of_gray_changes_and_bands_keep_their_values() -> None:
    recipe = Recipe(1, 1, light=0.2, colour=0.2)
    rng = np.random.default_rng(0)
    flat = np.full((8, 8, 1), 100, np.uint8)
    changed = np.array([_random_colour(flat, recipe, rng)[0, 0, 0] for _ in range(100)], float)
    assert 10 < np.abs(changed - 100).max() <= 21
    dark = np.zeros((8, 8, 1), np.uint8)
    dark[:4] = 255
    for _ in range(20):
        assert _random_colour(dark, recipe, rng)[-1].max() < 30  # nothing wraps around or turns positive
    for count in (2, 4, 13):
        assert _random_colour(bands(count), recipe, rng) is not None
        assert np.array_equal(_random_colour(bands(count), recipe, rng), bands(count))


@pytest.mark.parametrize("count", MANY)
def test_normalisation_of_any_number_of_channels(count: int) -> None:
    mean = tuple(np.linspace(0.1, 0.9, count).tolist())
    std = tuple(np.linspace(0.2, 0.5, count).tolist())
    preprocessing = Preprocessing(32, 1.0, mean, std)
    assert preprocessing.channels == count
    image = bands(count, 32, 32)
    expected = ((image / 255 - mean) / std).transpose(2, 0, 1)
    assert np.abs(preprocessing.apply(image) - expected).max() < 1e-5
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing
    with pytest.raises(ValueError, match=rf"expected pixels \[H, W, {count}\]"):
        preprocessing.normalise(bands(3, 32, 32))


# Sets


def test_sets_in_memory() -> None:
    gray = ArrayImages(bands(5)[None, :, :, 0], [0], "g")
    assert [gray.with_channels(count).read(0).shape[2] for count in (1, 3)] == [1, 3]
    many = ArrayImages(bands(13)[None], [0], "m").with_channels(13)
    assert np.array_equal(many.read(0), bands(13))
    assert many.take([0]).channels == 13
    many.read(0)[:] = 0
    assert many.read(0).max() > 0
    with pytest.raises(DataError, match="m/0000: 13 channels, expected 3"):
        many.with_channels(3).read(0)
    assert many.fingerprint() != many.with_channels(3).fingerprint()


@pytest.fixture
def multispectral(tmp_path: Path) -> Path:
    for name in ("field", "forest"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(6):
            np.save(tmp_path / "set" / name / f"{i}.npy", bands(13, 32, 32, seed=i + 10 * (name == "field")))
    return tmp_path / "set"


@pytest.mark.parametrize("level", ["none", "standard", "strong"])
def test_batches_of_thirteen_bands(multispectral: Path, level: str) -> None:
    data = build_data(DataConfig(root=multispectral), channels=13)
    assert data.train.channels == data.val.channels == 13
    preprocessing = Preprocessing(16, 1.0, (0.5,) * 13, (0.25,) * 13)
    augmentation = data.augmentation(level, preprocessing)
    loaders = [
        BatchLoader(data.train, preprocessing, batch_size=5, augmentation=augmentation, shuffle=True, workers=workers)
        for workers in (0, 2)
    ]
    for one, two in zip(*loaders, strict=True):
        assert one.inputs.shape == (5, 13, 16, 16)
        assert np.array_equal(one.inputs, two.inputs)
    with pytest.raises(ValueError, match=r"images of 13 channel\(s\), but preprocessing for 3"):
        BatchLoader(data.train, Preprocessing(16), batch_size=5)


def test_misfits_are_found_before_training(multispectral: Path, make_folder: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"12 of 12 images .*0\.npy \(13 channels, expected 3\).*model\.in_channels"):
        build_data(DataConfig(root=multispectral))
    np.save(multispectral / "field" / "3.npy", bands(12))
    with pytest.raises(DataError, match=r"1 of 12 images .*3\.npy \(12 channels, expected 13\)"):
        build_data(DataConfig(root=multispectral), channels=13)
    skipped = build_data(DataConfig(root=multispectral, on_bad_image="skip"), channels=13)
    assert len(skipped.train) + len(skipped.val) == 11
    with pytest.raises(DataError, match=r"6 of 6 images .*000\.jpg \(3 channels, expected 4\).*model\.in_channels"):
        build_data(DataConfig(root=make_folder({"a": 3, "b": 3}, "photos")), channels=4)
    with pytest.raises(DataError, match="digits/0000: 1 channel, expected 4"):
        build_data(DataConfig(format="digits"), channels=4)


def test_gray_photographs_and_digits(make_folder: Callable[..., Path]) -> None:
    root = make_folder({"a": 3, "b": 3}, "photos")
    gray, colour = (build_data(DataConfig(root=root), channels=channels) for channels in (1, 3))
    assert np.array_equal(gray.train.read(0)[:, :, 0], cv2.cvtColor(colour.train.read(0), cv2.COLOR_RGB2GRAY))
    assert gray.fingerprint() != colour.fingerprint()
    digits = build_data(DataConfig(format="digits"), channels=1)
    assert digits.train.read(0).shape == (8, 8, 1)


def test_file_sets_keep_their_channels(multispectral: Path) -> None:
    files = FileImages(sorted((multispectral / "field").iterdir()), [0] * 6).with_channels(13)
    assert files.take([2, 1]).read(0).shape == (32, 32, 13)
