from __future__ import annotations

import numpy as np

from toolkit.config import DataConfig
from toolkit.data import build_data


def test_digits_are_there_and_split_by_class() -> None:
    data = build_data(DataConfig(format="digits"))
    assert data.classes == tuple("0123456789")
    assert len(data.train) + len(data.val) == 1797
    share = np.bincount(data.val.labels) / (np.bincount(data.val.labels) + np.bincount(data.train.labels))
    assert np.abs(share - 0.2).max() < 0.01
    assert (data.crop_ratio, data.flip, data.content) == (1.0, "none", "glyph")
    names = {images.path(i) for images in (data.train, data.val) for i in range(len(images))}
    assert len(names) == 1797
    assert "digits/0000" in names


def test_digits_look_like_digits() -> None:
    data = build_data(DataConfig(format="digits"))
    images = [data.train.read(i) for i in range(len(data.train))]
    assert {image.shape for image in images} == {(8, 8, 3)}
    assert (np.min(images), np.max(images)) == (0, 255)
    mean = {label: np.mean([data.train.read(i) for i in np.flatnonzero(data.train.labels == label)], 0)
            for label in (0, 1)}  # fmt: skip
    assert mean[0][3:5, 3:5].mean() < 60 < 180 < mean[1][3:5, 3:5].mean()  # a hole, and a stroke


def test_half_of_the_digits_as_a_task_of_their_own() -> None:
    data = build_data(DataConfig(format="digits", classes=("5", "6", "7", "8", "9"), samples_per_class=3))
    assert data.classes == ("5", "6", "7", "8", "9")
    assert data.counts()["train"] == dict.fromkeys(data.classes, 3)
    whole = build_data(DataConfig(format="digits"))
    sixes = {whole.val.path(i) for i in np.flatnonzero(whole.val.labels == 6)}
    assert {data.val.path(i) for i in np.flatnonzero(data.val.labels == 1)} == sixes  # the same split
