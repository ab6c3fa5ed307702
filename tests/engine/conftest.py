"""A small real task: handwritten digits, a few images a class, and weights to start from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle
import pytest

from toolkit.config import Config, make_config
from toolkit.zoo import create_network, write_weights


@pytest.fixture(scope="session")
def backbone_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-18 that has seen nothing, as a file."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pdparams"
    paddle.seed(7)
    write_weights(create_network("resnet18", 5).state_dict(), path)
    return path


@pytest.fixture
def make(tmp_path: Path, backbone_weights: Path) -> Callable[..., Config]:
    """``make(train={...}, ...)`` is a config for a quick job on digits; sections are merged into its own."""

    def build(**sections: Any) -> Config:
        values: dict[str, Any] = {
            "name": "job",
            "output_dir": tmp_path / "runs",
            "model": {"name": "resnet18", "pretrained": str(backbone_weights)},
            "data": {
                "format": "digits",
                "classes": ["5", "6", "7"],
                "samples_per_class": 4,
                "image_size": 32,
                "batch_size": 5,
                "val_fraction": 0.1,
                "workers": 1,
            },
            "transfer": {"preset": "linear_probe"},
            "train": {"epochs": 2, "device": "cpu"},
            "cache": {"dir": tmp_path / "cache"},
            "log": {"visualdl": False},
            "export": {"enabled": False},
        }
        for key, value in sections.items():
            both = isinstance(values.get(key), dict) and isinstance(value, dict)
            values[key] = {**values[key], **value} if both else value
        return make_config(values)

    return build
