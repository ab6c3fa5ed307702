from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import ConfigError
from toolkit.data import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, normalisation
from toolkit.data.bit_depth import Decoding


def test_normalisation_is_the_formula(picture: Callable[..., Any]) -> None:
    image = picture(1, 32, 32)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = ((image / 255 - mean) / std).transpose(2, 0, 1)
    result = Preprocessing(32).normalise(image)
    assert result.dtype == np.float32
    assert np.abs(result - expected).max() < 1e-6


def test_normalisation_writes_to_the_given_array(picture: Callable[..., Any]) -> None:
    image = picture(1, 24, 20)
    batch = np.full((3, 3, 24, 20), np.nan, np.float32)
    preprocessing = Preprocessing(20, mean=(0, 0, 0), std=(1, 1, 1))
    assert preprocessing.normalise(image, out=batch[1]) is not None
    assert np.array_equal(batch[1], preprocessing.normalise(image))
    assert np.isnan(batch[[0, 2]]).all()


def test_normalisation_takes_cropped_views(picture: Callable[..., Any]) -> None:
    image = picture(1, 40, 40)
    view = image[3:35, 5:37]
    assert np.array_equal(Preprocessing(32).normalise(view), Preprocessing(32).normalise(view.copy()))


@pytest.mark.parametrize("shape", [(300, 400), (400, 300), (20, 33), (1, 1), (1, 3000), (3000, 1), (224, 224)])
@pytest.mark.parametrize(("size", "ratio"), [(224, 0.875), (32, 1.0), (65, 0.8)])
def test_every_shape_fits(picture: Callable[..., Any], shape: tuple[int, int], size: int, ratio: float) -> None:
    preprocessing = Preprocessing(size, ratio)
    assert preprocessing.geometry(picture(2, *shape)).shape == (size, size, 3)
    result = preprocessing.apply(picture(2, *shape))
    assert result.shape == (3, size, size)
    assert np.isfinite(result).all()


def test_geometry_is_resize_of_the_short_side_and_centre_crop(picture: Callable[..., Any]) -> None:
    image = picture(3, 500, 376)
    height = round(500 * 256 / 376)
    resized = cv2.resize(image, (256, height), interpolation=cv2.INTER_AREA)
    top, left = (height - 224) // 2, 16
    expected = resized[top : top + 224, left : left + 224]
    result = Preprocessing(224).geometry(image)
    assert np.abs(result.astype(int) - expected).mean() < 1.5
    off_centre = resized[top - 8 : top + 216, left : left + 224]
    assert np.abs(result.astype(int) - off_centre).mean() > 4


def test_an_image_of_the_right_size_is_unchanged(picture: Callable[..., Any]) -> None:
    image = picture(4, 64, 64)
    assert np.array_equal(Preprocessing(64, 1.0).geometry(image), image)


def test_shrinking_does_not_alias() -> None:
    noise = np.random.default_rng(0).integers(0, 2, (640, 640, 3), dtype=np.uint8) * 255
    small = Preprocessing(64, 1.0).geometry(noise)
    assert abs(small.mean() - noise.mean()) < 1
    assert small.std() < 18  # the mean of 10 x 10 pixels has 12.7, one pixel in a hundred 127


def test_dict_round_trip_through_json() -> None:
    for decoding in (Decoding(), Decoding(12, None, "black"), Decoding(None, (-160.0, 240.0), "drop")):
        preprocessing = Preprocessing(299, 0.9, (0.5, 0.4, 0.3), (0.2, 0.1, 0.25), decoding)
        assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing
    plain = Preprocessing(299, 0.9).to_dict()
    assert set(plain) == {"image_size", "crop_ratio", "mean", "std", "bit_depth", "window", "alpha"}
    older = {key: plain[key] for key in ("image_size", "crop_ratio", "mean", "std")}
    assert Preprocessing.from_dict(older).decoding == Decoding(
        bit_depth=16, alpha="drop"
    )  # as decoded by those versions
    for bad in ({"alpha": "pink"}, {"bit_depth": 4}, {"bit_depth": "12"}, {"window": [3, 3]}, {"window": [1]}):
        with pytest.raises(ValueError, match=next(iter(bad)) if bad != {"window": [1]} else "unpack"):
            Preprocessing.from_dict({**plain, **bad})


def test_mean_and_std_for_any_number_of_channels() -> None:
    config = DataConfig()
    assert normalisation(config, IMAGENET_MEAN, IMAGENET_STD, 3) == (IMAGENET_MEAN, IMAGENET_STD)
    mean, std = normalisation(config, IMAGENET_MEAN, IMAGENET_STD, 1)
    assert (mean, std) == (pytest.approx((0.449,)), pytest.approx((0.226,)))
    mean, std = normalisation(config, IMAGENET_MEAN, IMAGENET_STD, 13)
    assert mean == (*(IMAGENET_MEAN * 5)[:13],)
    assert std == (*(IMAGENET_STD * 5)[:13],)
    assert normalisation(config, (0.5,), (0.2,), 2) == ((0.5, 0.5), (0.2, 0.2))


def test_mean_and_std_of_the_config_go_first_and_must_fit() -> None:
    config = DataConfig(mean=(0.1, 0.2), std=(0.3, 0.4))
    assert normalisation(config, IMAGENET_MEAN, IMAGENET_STD, 2) == ((0.1, 0.2), (0.3, 0.4))
    with pytest.raises(
        ConfigError, match=r"data\.mean has 2 number\(s\), but the images have 3 channel\(s\).*in_channels"
    ):
        normalisation(config, IMAGENET_MEAN, IMAGENET_STD, 3)
    with pytest.raises(ConfigError, match=r"data\.std has 2"):
        normalisation(DataConfig(std=(0.3, 0.4)), IMAGENET_MEAN, IMAGENET_STD, 3)


def test_mean_and_std_have_the_same_length() -> None:
    for mean, std in [((0.5,), (0.5, 0.5)), ((), ())]:
        with pytest.raises(ValueError, match="one number per channel"):
            Preprocessing(32, mean=mean, std=std)
