"""Corruptions: fixed, the same for every batch and thread, stronger with severity, for any number of channels."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from toolkit.data import ArrayImages, BatchLoader, Preprocessing
from toolkit.data.corruptions import CORRUPTIONS, SEVERITIES, CorruptedView, Corruption

by_name = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)


def photo(size: int = 64, channels: int = 3) -> np.ndarray:
    """A gradient with coarse texture, ``[size, size, channels]``, away from black and white."""
    ramp = np.linspace(60, 160, size)[None, :, None] * np.ones((size, 1, channels))
    coarse = np.random.default_rng(0).normal(0, 15, (8, 8, channels))
    texture = cv2.resize(coarse, (size, size)).reshape(ramp.shape)
    return np.clip(ramp + texture, 0, 255).astype(np.uint8)


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


@by_name
def test_higher_severities_change_more(corruption: Corruption) -> None:
    image = photo(224)
    far = [distance(CorruptedView(corruption, severity)(image, 0), image) for severity in SEVERITIES]
    assert far[0] > 0
    assert far == sorted(set(far))


@by_name
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 6])
def test_any_number_of_channels_is_corrupted_and_the_image_is_kept(corruption: Corruption, channels: int) -> None:
    image = photo(48, channels)
    before = image.copy()
    image.setflags(write=False)  # as in a cache
    changed = CorruptedView(corruption, 4)(image, 1)
    assert (changed.shape, changed.dtype) == (image.shape, np.uint8)
    np.testing.assert_array_equal(image, before)
    assert all(distance(changed[:, :, channel], image[:, :, channel]) > 0 for channel in range(channels))


@pytest.mark.parametrize("name", ["noise", "crop"])
def test_randomness_follows_the_position_and_not_the_call(name: str) -> None:
    view = CorruptedView(next(each for each in CORRUPTIONS if each.name == name), 3)
    image = photo()
    first = [view(image, index) for index in range(40)]
    again = [view(image, index) for index in reversed(range(40))][::-1]
    np.testing.assert_array_equal(first, again)
    assert len({each.tobytes() for each in first}) == (40 if name == "noise" else 4)  # four corners


@by_name
def test_batches_do_not_depend_on_their_size_or_the_threads(corruption: Corruption) -> None:
    pixels = np.stack([photo(40) for _ in range(7)])
    images = ArrayImages(pixels, np.arange(7), "photos")
    change = CorruptedView(corruption, 2)

    def inputs(size: int, workers: int) -> np.ndarray:
        loader = BatchLoader(images, Preprocessing(32), batch_size=size, workers=workers, change=change)
        return np.concatenate([batch.inputs for batch in loader])

    expected = [Preprocessing(32).normalise(change(Preprocessing(32).geometry(photo(40)), index)) for index in range(7)]
    for size, workers in ((7, 0), (2, 0), (3, 2)):
        np.testing.assert_array_equal(inputs(size, workers), expected)


def test_blur_takes_the_same_share_of_any_input() -> None:
    blur = CorruptedView(CORRUPTIONS[0], 5)
    large = photo(224)
    small = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
    halved = cv2.resize(blur(large, 0), (112, 112), interpolation=cv2.INTER_AREA)
    assert distance(blur(small, 0), halved) < 1


def test_jpeg_keeps_the_order_of_colours() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[:, :, 0] = 200
    changed = CorruptedView(next(each for each in CORRUPTIONS if each.name == "jpeg"), 1)(red, 0)
    assert changed[:, :, 0].mean() > 150 > 50 > changed[:, :, 2].mean()


@pytest.mark.parametrize("severity", [0, 6])
def test_there_are_five_severities(severity: int) -> None:
    with pytest.raises(ValueError, match="severity of 1 to 5"):
        CorruptedView(CORRUPTIONS[0], severity)


@pytest.mark.parametrize("page", ["training.md", "training_zh.md"])
def test_the_documented_parameters_are_those_of_the_code(repo: Path, page: str) -> None:
    text = (repo / "docs" / page).read_text(encoding="utf-8")
    for corruption in CORRUPTIONS:
        row = re.search(rf"^\| `{corruption.name}` \|.*$", text, re.MULTILINE)
        assert row, corruption.name
        written = [float(cell.replace("−", "-")) for cell in row[0].strip("| ").split(" | ")[-5:]]
        assert written == list(corruption.strengths), corruption.name
