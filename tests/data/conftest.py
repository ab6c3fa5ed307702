"""Small generated images and data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from toolkit.data.bit_depth import Decoding
from toolkit.data.decode import decode_image

Picture = NDArray[np.uint8]
MANY = [1, 2, 4, 6, 13, 64]
"""Numbers of bands."""


def bands(count: int, height: int = 40, width: int = 48, seed: int = 0) -> Any:
    """Smooth random pixels, ``[height, width, count]``."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, count), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, count)


def _picture(seed: int, height: int = 40, width: int = 48) -> Picture:
    return np.asarray(bands(3, height, width, seed))


def _save(path: Path, image: Picture) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.fixture
def picture() -> Callable[..., Picture]:
    """``picture(seed, height, width)``: smooth random RGB pixels."""
    return _picture


@pytest.fixture
def save() -> Callable[[Path, Picture], Path]:
    """``save(path, image)``: write RGB pixels in the format of the suffix."""
    return _save


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """``make_folder({"cat": 3, "train/dog": 2}, name)``: folders with that many different JPEG images."""

    def make(counts: Mapping[str, int], name: str = "set") -> Path:
        root = tmp_path / name
        root.mkdir()
        for number, (folder, count) in enumerate(counts.items()):
            (root / folder).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                _save(root / folder / f"{i:03d}.jpg", _picture(1000 * number + i))
        return root

    return make


def defect(path: Path, channels: int = 3, decoding: Decoding | None = None) -> str | None:
    """Return the error of decoding an image file, or None."""
    try:
        decode_image(path.read_bytes(), channels, decoding=decoding)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:
        return str(error)
    return None
