"""A small real task for the whole way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import Config


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-18 with its 1000 classes, which has seen nothing."""
    return untrained_weights("resnet18", None, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def make(tmp_path: Path, backbone: Path) -> Callable[..., Config]:
    """``make(data={...})`` is a config of a quick job on digits; sections are merged into its own."""
    return digits_jobs(
        tmp_path,
        model={"name": "resnet18", "pretrained": str(backbone)},
        data={"classes": ["0", "1", "2"], "samples_per_class": 12, "batch_size": 8, "val_fraction": 0.1},
        transfer={"preset": "auto"},
        cache={"engine": "dygraph"},
    )
