"""Paddle's own callbacks run unchanged in the trainer's order of calls, beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from paddle.callbacks import EarlyStopping, ReduceLROnPlateau, VisualDL
from visualdl import LogReader

from toolkit.callbacks import Checkpoint, TerminateOnNaN, VisualDLLogger


def test_early_stopping(run: Any) -> None:
    callback = EarlyStopping("loss", patience=2, verbose=0, save_best_model=False)
    assert run([callback], [1.0, 0.9, 1.0, 1.1, 0.1]).epochs == [0, 1, 2, 3]


def test_early_stopping_on_accuracy(run: Any) -> None:
    callback = EarlyStopping("acc", patience=1, verbose=0, save_best_model=False)
    script = [{"loss": 1.0, "top1": value, "acc": value} for value in (0.1, 0.3, 0.2, 0.4)]
    assert run([callback], script).epochs == [0, 1, 2]


def test_reduce_lr_on_plateau(run: Any) -> None:
    callback = ReduceLROnPlateau("loss", factor=0.5, patience=1, verbose=0, min_delta=0.0)
    assert run([callback], [1.0, 1.1, 0.9, 1.0]).rates == pytest.approx([1.0, 0.5, 0.5, 0.25])


def test_visualdl(tmp_path: Path, run: Any) -> None:
    run([VisualDL(str(tmp_path))], [0.5, 0.4])
    (name,) = (path.name for path in tmp_path.iterdir())
    reader = LogReader(file_path=str(tmp_path / name))
    assert [item.id for item in reader.get_data("scalar", "train%loss")] == [1, 2, 3, 4, 5, 6]
    assert [item.value for item in reader.get_data("scalar", "eval%loss")] == pytest.approx([0.5, 0.4])


def test_beside_ours(tmp_path: Path, run: Any) -> None:
    saved: list[int] = []
    ours = Checkpoint(lambda: saved.append(ours.epoch), monitor="val/loss")
    theirs = [EarlyStopping("loss", patience=2, verbose=0, save_best_model=False), VisualDL(str(tmp_path / "theirs"))]
    logger = VisualDLLogger(tmp_path / "ours")
    assert run([TerminateOnNaN(), *theirs, logger, ours], [1.0, 0.9, 1.0, 1.1, 0.1]).epochs == [0, 1, 2, 3]
    assert saved == [0, 1]
