from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.data import ArrayImages, FileImages


@pytest.fixture
def gray() -> ArrayImages:
    pixels = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4)
    return ArrayImages(pixels, [0, 1, 0, 1, 2], "digits")


def test_arrays_read_as_rgb_and_keep_their_number(gray: ArrayImages) -> None:
    part = gray.take([4, 1])
    assert len(part) == 2
    assert part.labels.tolist() == [2, 1]
    assert part.labels.dtype == np.int64
    assert part.path(0) == "digits/0004"
    assert part.read(0).shape == (4, 4, 3)
    assert np.array_equal(part.read(0), gray.read(4))
    assert np.array_equal(part.take([1]).read(0), gray.read(1))


def test_what_is_read_is_the_callers(gray: ArrayImages) -> None:
    colour = ArrayImages(np.zeros((2, 3, 3, 3), np.uint8), [0, 1], "c")
    colour.read(0)[:] = 7
    assert colour.read(0).max() == 0


def test_labels_are_read_only(gray: ArrayImages) -> None:
    with pytest.raises(ValueError, match="read-only"):
        gray.labels[0] = 3


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        ArrayImages(np.zeros((2, 4, 4), np.float32), [0, 1], "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="labels"):
        ArrayImages(np.zeros((2, 4, 4), np.uint8), [0], "x")
    with pytest.raises(ValueError, match="labels"):
        FileImages(["a.jpg"], [0, 1])


def test_array_fingerprint_sees_pixels_labels_and_order(gray: ArrayImages) -> None:
    same = gray.take(range(5))
    assert same.fingerprint() == gray.fingerprint()
    brighter = ArrayImages(np.arange(1, 81, dtype=np.uint8).reshape(5, 4, 4), gray.labels, "digits")
    others = [gray.take([1, 0, 2, 3, 4]), gray.take(range(5), [0, 1, 0, 1, 1]), gray.take(range(4)), brighter]
    assert len({gray.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_file_fingerprint_sees_path_size_and_time(make_folder: Callable[..., Path]) -> None:
    root = make_folder({"a": 3})
    paths = sorted((root / "a").iterdir())
    images = FileImages(paths, [0, 0, 1])
    first = images.fingerprint()
    assert FileImages(paths, [0, 0, 1]).fingerprint() == first
    assert FileImages(paths, [0, 1, 1]).fingerprint() != first
    assert FileImages([paths[1], paths[0], paths[2]], [0, 0, 1]).fingerprint() != first
    os.utime(paths[0], ns=(1, 1))
    second = images.fingerprint()
    assert second != first
    paths[0].write_bytes(paths[0].read_bytes() + b"\0")
    os.utime(paths[0], ns=(1, 1))
    assert images.fingerprint() != second
