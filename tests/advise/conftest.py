"""A small real task for the whole way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle
import pytest

from toolkit.config import Config, make_config
from toolkit.zoo import create_network, write_weights


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a ResNet-18 with its 1000 classes, which has seen nothing."""
    path = tmp_path_factory.mktemp("weights") / "resnet18.pdparams"
    paddle.seed(7)
    write_weights(create_network("resnet18", None).state_dict(), path)
    return path


@pytest.fixture
def make(tmp_path: Path, backbone: Path) -> Callable[..., Config]:
    """``make(data={...})`` is a config of a quick job on digits; sections are merged into its own."""

    def build(**sections: Any) -> Config:
        values: dict[str, Any] = {
            "name": "job",
            "output_dir": tmp_path / "runs",
            "model": {"name": "resnet18", "pretrained": str(backbone)},
            "data": {
                "format": "digits",
                "classes": ["0", "1", "2"],
                "samples_per_class": 12,
                "image_size": 32,
                "batch_size": 8,
                "val_fraction": 0.1,
                "workers": 1,
            },
            "transfer": {"preset": "auto"},
            "train": {"device": "cpu"},
            "cache": {"dir": tmp_path / "cache", "engine": "dygraph"},
            "log": {"visualdl": False},
            "export": {"enabled": False},
        }
        for key, value in sections.items():
            both = isinstance(values.get(key), dict) and isinstance(value, dict)
            values[key] = {**values[key], **value} if both else value
        return make_config(values)

    return build
