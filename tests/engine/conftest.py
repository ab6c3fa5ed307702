"""A small real task: handwritten digits, a few images a class, and weights to start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.jobs import digits_jobs, resnet18_is, untrained_weights
from toolkit.config import Config


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """In these tests, ``resnet18`` has a quarter of its channels: trainings take a third of the time."""
    with resnet18_is(thin=Path(__file__).parent in item.path.parents):
        yield


@pytest.fixture(scope="session")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the thin ResNet-18 that has seen nothing, as a file."""
    return untrained_weights("resnet18", 5, tmp_path_factory.mktemp("weights"))


@pytest.fixture
def full_resnet18(tmp_path: Path) -> Iterator[Path]:
    """Weights of the full ResNet-18, which ``resnet18`` is during the test."""
    with resnet18_is(thin=False):
        yield untrained_weights("resnet18", 5, tmp_path)


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
