from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.data import Augmentation, Preprocessing
from toolkit.data.augmentation import RECIPES, Recipe, _random_colour, _random_erasing, _random_rotation


def run(augmentation: Augmentation, image: Any, times: int, seed: int = 0) -> list[Any]:
    return [augmentation(image, np.random.default_rng((seed, i))) for i in range(times)]


@pytest.mark.parametrize(("content", "level"), list(RECIPES))
@pytest.mark.parametrize("shape", [(40, 48), (1, 1), (1, 900), (900, 1), (5, 7)])
def test_every_recipe_takes_every_shape(
    picture: Callable[..., Any], content: Any, level: str, shape: tuple[int, int]
) -> None:
    image = picture(1, *shape)
    before = image.copy()
    for result in run(Augmentation(level, 32, "both", content), image, 20):
        assert result.shape == (32, 32, 3)
        assert result.dtype == np.uint8
    assert np.array_equal(image, before)


@pytest.mark.parametrize("level", ["standard", "strong"])
def test_chance_comes_from_the_generator_alone(picture: Callable[..., Any], level: str) -> None:
    augmentation = Augmentation(level, 32)
    image = picture(2)
    first, again, other = run(augmentation, image, 5), run(augmentation, image, 5), run(augmentation, image, 5, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_level_none_is_the_preprocessing(picture: Callable[..., Any]) -> None:
    image = picture(3, 60, 90)
    augmentation = Augmentation("none", 32, "both", crop_ratio=0.8)
    assert not augmentation.is_random
    assert all(np.array_equal(a, Preprocessing(32, 0.8).geometry(image)) for a in run(augmentation, image, 5))


@pytest.mark.parametrize(
    ("flip", "mirrored", "upside_down"), [("none", 0.0, 0.0), ("horizontal", 0.5, 0.0), ("both", 0.5, 0.5)]
)
def test_flips_come_as_often_as_they_should(flip: Any, mirrored: float, upside_down: float) -> None:
    ramp = np.zeros((64, 64, 3), np.uint8)
    ramp[:, :, 0] = np.linspace(0, 200, 64)[None, :]
    ramp[:, :, 1] = np.linspace(0, 200, 64)[:, None]
    results = run(Augmentation("standard", 32, flip), ramp, 200)
    across = np.mean([r[:, :8, 0].mean() > r[:, -8:, 0].mean() for r in results])
    down = np.mean([r[:8, :, 1].mean() > r[-8:, :, 1].mean() for r in results])
    assert abs(across - mirrored) < 0.12
    assert abs(down - upside_down) < 0.12


@pytest.mark.parametrize("level", ["standard", "strong"])
def test_a_glyph_keeps_its_strokes(level: str) -> None:
    """Both ends of a stroke through the middle 70 % stay in the image, so a digit stays legible."""
    stroke = np.zeros((64, 64, 3), np.uint8)
    stroke[11:53, 28:36] = 255
    for result in run(Augmentation(level, 64, "none", "glyph"), stroke, 100):
        rows = np.flatnonzero(result.mean(axis=2).max(axis=1) > 100)
        assert 38 <= np.ptp(rows) + 1 <= 60


def test_strong_changes_more_than_standard(picture: Callable[..., Any]) -> None:
    image = picture(5, 32, 32)
    change = {
        level: np.mean([np.abs(r.astype(int) - image).mean() for r in run(Augmentation(level, 32), image, 60)])
        for level in ("standard", "strong")
    }
    assert 0 < change["standard"] < change["strong"]


def test_colours_stay_what_they_are_where_the_recipe_has_none() -> None:
    gray = np.full((32, 32, 3), 90, np.uint8)
    for result in run(Augmentation("standard", 32, "none", "glyph"), gray, 30):
        assert np.ptp(result.astype(int), axis=2).max() == 0


def test_colour_changes_keep_within_the_recipe() -> None:
    rng = np.random.default_rng(0)
    flat = np.full((8, 8, 3), 100, np.uint8)
    changed = np.array([_random_colour(flat, Recipe(1, 1, colour=0.4), rng)[0, 0] for _ in range(200)], float)
    assert np.abs(changed - 100).max() <= 21  # gains of at most 20 %; saturation does nothing to gray
    assert (np.abs(changed - 100).max(axis=0) > 15).all()
    assert np.abs(changed.mean(axis=0) - 100).max() < 3
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 200
    rest = [_random_colour(red, Recipe(1, 1, colour=0.4), rng)[0, 0, 1] for _ in range(50)]
    assert max(rest) > 10  # paler red has green in it


def test_contrast_turns_around_the_mean(picture: Callable[..., Any]) -> None:
    image = np.clip(picture(6, 32, 32), 60, 190)
    rng = np.random.default_rng(0)
    results = np.array([_random_colour(image, Recipe(1, 1, light=0.2), rng) for _ in range(100)], float)
    assert np.abs(results.mean(axis=(1, 2, 3)) / image.mean() - 1).max() <= 0.21
    spread = results.std(axis=(1, 2, 3)) / image.std()
    assert spread.min() < 0.85
    assert spread.max() > 1.15


def test_colours_of_a_seed_stay_what_they_are(picture: Callable[..., Any]) -> None:
    """Resumed runs, and repeated ones with a newer version, see the same images."""
    image, luma, recipe = picture(1), np.array([0.299, 0.587, 0.114]), Recipe(1, 1, light=0.3, colour=0.4)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        saturation = 1 + rng.uniform(-0.4, 0.4)
        brightness, contrast = 1 + rng.uniform(-0.3, 0.3, 2)
        gains = np.diag(brightness * (1 + rng.uniform(-0.2, 0.2, 3)))
        change = gains @ (contrast * (saturation * np.eye(3) + (1 - saturation) * luma))
        offset = gains @ np.full((3, 1), luma @ cv2.mean(image)[:3] * (1 - contrast))
        again = np.random.default_rng(seed)
        assert np.array_equal(_random_colour(image, recipe, again), cv2.transform(image, np.hstack([change, offset])))
        assert again.random() == rng.random()


def test_rotation_tilts_a_horizon() -> None:
    horizon = np.zeros((64, 64, 3), np.uint8)
    horizon[32:] = 255
    tilts = []
    for i in range(50):
        turned = _random_rotation(horizon, 15, np.random.default_rng(i))
        assert turned.shape == horizon.shape
        left, right = ((turned[:, column, 0] < 128).sum() for column in (8, 55))
        tilts.append(np.degrees(np.arctan2(float(right) - float(left), 47)))
    assert 12 < max(tilts) < 17
    assert -17 < min(tilts) < -12
    assert np.array_equal(_random_rotation(horizon, 0, np.random.default_rng(0)), horizon)

    def tilted(level: str) -> int:
        results = run(Augmentation(level, 64, "none", "glyph"), horizon, 50)
        return sum(abs(int((r[:, 8, 0] < 99).sum()) - int((r[:, 55, 0] < 99).sum())) > 2 for r in results)

    assert tilted("standard") == 0
    assert tilted("strong") > 20


def test_erasing_covers_a_small_rectangle_of_a_copy(picture: Callable[..., Any]) -> None:
    image = picture(7, 64, 64)
    before = image.copy()
    shares = [np.any(_random_erasing(image, 1.0, np.random.default_rng(i)) != image, axis=2).mean() for i in range(100)]
    assert 0.01 < min(shares) < max(shares) < 0.16
    assert np.array_equal(image, before)
    assert _random_erasing(image, 0.0, np.random.default_rng(0)) is image


def test_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="bold"):
        Augmentation("bold", 32)
