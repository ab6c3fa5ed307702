"""A small real task."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import Config


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a MobileNetV1 (width 0.25) with its 1000 classes, untrained."""
    return untrained_weights("mobilenet_v1_x0_25", None, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def make(tmp_path: Path, backbone: Path) -> Callable[..., Config]:
    """``make(data={...})`` is the config of a quick job on digits with these sections changed."""
    return digits_jobs(
        tmp_path,
        model={"name": "mobilenet_v1_x0_25", "pretrained": str(backbone)},
        data={"classes": ["0", "1", "2"], "samples_per_class": 12, "batch_size": 8, "val_fraction": 0.1},
        transfer={"preset": "auto"},
        cache={"engine": "dygraph"},
    )


@pytest.fixture
def measured_once(make: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Config]:
    """``make`` with a cache shared by all tests, so that the digits are measured once."""
    folder = tmp_path_factory.getbasetemp() / "advice"
    return lambda **sections: make(cache={"engine": "dygraph", "dir": folder}, **sections)
