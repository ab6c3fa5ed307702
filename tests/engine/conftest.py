"""A small real task: handwritten digits, a few images a class, and weights to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import Config


@pytest.fixture(scope="session")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-18 that has seen nothing, as a file."""
    return untrained_weights("resnet18", 5, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def make(tmp_path: Path, backbone_weights: Path) -> Callable[..., Config]:
    """``make(train={...}, ...)`` is a config for a quick job on digits; sections are merged into its own."""
    return digits_jobs(
        tmp_path,
        model={"name": "resnet18", "pretrained": str(backbone_weights)},
        data={"classes": ["5", "6", "7"], "samples_per_class": 4, "batch_size": 5, "val_fraction": 0.1},
        transfer={"preset": "linear_probe"},
        train={"epochs": 2},
    )
