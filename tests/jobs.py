"""Quick real jobs: a few handwritten digits, and untrained networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import paddle

from toolkit.config import Config, make_config
from toolkit.zoo import create_network, write_weights


def untrained_weights(network: str, classes: int | None, folder: Path) -> Path:
    """Write random weights, always the same; ``None``: with the network's own classes."""
    path = folder / f"{network}.pdparams"
    paddle.seed(7)
    write_weights(create_network(network, classes).state_dict(), path)
    return path


def digits_jobs(folder: Path, **usual: Any) -> Callable[..., Config]:
    """Return ``make(train={...}, ...)``, which makes the config of a quick job on digits.

    Args:
        folder: Folder of runs and caches.
        usual: Sections shared by all jobs; those given to ``make`` are merged into them.
    """
    common: dict[str, Any] = {
        "name": "job",
        "output_dir": folder / "runs",
        "data": {"format": "digits", "image_size": 32, "workers": 1},
        "train": {"device": "cpu"},
        "cache": {"dir": folder / "cache"},
        "log": {"visualdl": False},
        "export": {"enabled": False},
    }

    def make(**sections: Any) -> Config:
        return make_config(_merged(_merged(common, usual), sections))

    return make


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Merge section by section; ``changes`` win."""
    merged = dict(values)
    for key, value in changes.items():
        both = isinstance(merged.get(key), dict) and isinstance(value, dict)
        merged[key] = {**merged[key], **value} if both else value
    return merged
