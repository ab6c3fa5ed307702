"""Weights of a small network as Paddle publishes them."""

from __future__ import annotations

from pathlib import Path

import paddle
import pytest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Weights of the original ``mobilenet_v1_x0_25`` for colour images with its 1000 classes, as Paddle saves them."""
    path = tmp_path / "source.pdparams"
    paddle.save(paddle.vision.models.mobilenet_v1(scale=0.25).state_dict(), str(path))
    return path
