"""The range test as a user calls it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

JOB = """
model: {name: mobilenet_v1_x0_25, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 12, image_size: 32, batch_size: 6, val_fraction: 0.2}
transfer: scratch
train: {device: cpu}
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


def test_a_plot_and_settings(job: Path, tmp_path: Path, run_here: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run_here("find_lr", "-c", job, "--steps", 20, "--json", "--out", tmp_path / "lr 图")
    assert code == 0, err
    result = json.loads(out)
    assert result == json.loads((tmp_path / "lr 图" / "find_lr.json").read_text(encoding="utf-8"))
    assert result["suggested"] == {"train.lr": result["network"]["suggestion"]}
    assert 3 <= len(result["network"]["rates"]) <= 20
    picture = cv2.imdecode(np.fromfile(result["plot"], "uint8"), cv2.IMREAD_COLOR)
    assert min(picture.shape[:2]) > 300
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps", "5"), "--steps is 5; expected 20 or more"),
        (("-o", "transfer.preset=auto"), "auto is not a plan yet"),
        (("-o", "train.solver=exact", "-o", "transfer.preset=linear_probe"), "needs no learning rate"),
    ],
)
def test_what_cannot_be_tested(
    job: Path, arguments: tuple[str, ...], message: str, call_here: Callable[..., tuple[int, str]]
) -> None:
    code, said = call_here("find_lr", "-c", job, *arguments)
    assert code == 2
    assert message in said
    assert "Traceback" not in said
