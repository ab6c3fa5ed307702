"""A small network, exported once, and pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import toolkit  # noqa: F401 - before paddle
from toolkit.data import Preprocessing
from toolkit.deploy import export_model

import paddle  # isort: skip
from paddle import nn  # isort: skip

SIZE = 32
CLASSES = ("5", "red-eyed vireo 鸟", "no", "[bold]: a, b")


class SmallNetwork(nn.Layer):
    """Convolution, BatchNorm with telling statistics, dropout, dense: train and eval differ a lot."""

    def __init__(self, classes: int = len(CLASSES), channels: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(channels, 8, 3, stride=2), nn.BatchNorm2D(8), nn.ReLU(), nn.AdaptiveAvgPool2D(1)
        )
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.fc(self.drop(paddle.flatten(self.body(x), 1)))


def _write(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels[:, :, ::-1])[1].tobytes())
    return path


@pytest.fixture(scope="session")
def new_network() -> Callable[..., nn.Layer]:
    """Makes small networks; the same seed gives the same weights."""

    def make(seed: int = 0, classes: int = len(CLASSES), channels: int = 3) -> nn.Layer:
        paddle.seed(seed)
        network = SmallNetwork(classes, channels)
        generator = np.random.default_rng(seed)
        network.body[1]._mean.set_value(generator.normal(size=8).astype("float32"))
        network.body[1]._variance.set_value(generator.uniform(0.1, 0.5, 8).astype("float32"))
        network.fc.weight.set_value(generator.normal(size=(8, classes)).astype("float32"))
        return network

    return make


@pytest.fixture(scope="session")
def export(new_network: Callable[..., nn.Layer]) -> Callable[..., Path]:
    """Exports a small network; keyword arguments replace the usual ones."""

    def run(folder: Path, network: nn.Layer | None = None, **changes: object) -> Path:
        arguments: dict[str, object] = {
            "classes": CLASSES,
            "preprocessing": Preprocessing(SIZE, 1.0).to_dict(),
            "network_name": "small",
            "image_size": SIZE,
            **changes,
        }
        return export_model(network or new_network(), folder, **arguments)

    return run


@pytest.fixture(scope="session")
def shared_export(tmp_path_factory: pytest.TempPathFactory, export: Callable[..., Path]) -> Path:
    """One exported model for all tests that do not change it."""
    return export(tmp_path_factory.mktemp("deploy") / "模型 1")


@pytest.fixture
def images() -> npt.NDArray[np.float32]:
    """Five preprocessed pictures, float32 [5, 3, 32, 32]."""
    return np.random.default_rng(0).normal(size=(5, 3, SIZE, SIZE)).astype("float32")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Five different PNG files, one of them with a Chinese name."""
    generator = np.random.default_rng(0)
    names = ("c.png", "a.png", "图 片.png", "b.png", "d.png")
    return [
        _write(tmp_path / "pictures" / name, generator.integers(0, 256, (40 + 5 * i, 50, 3), dtype="uint8"))
        for i, name in enumerate(names)
    ]


@pytest.fixture
def write_image() -> Callable[[Path, npt.NDArray[np.uint8]], Path]:
    """Writes RGB pixels to a file."""
    return _write
