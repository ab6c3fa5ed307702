"""Runs ended by Ctrl-C, an error or a full disk resume to the same result."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import paddle
import pytest

import toolkit.engine.runs.checkpoints
import toolkit.engine.trainer
from tests.engine.run_helpers import lines_of
from toolkit.bakeoff import compare_presets
from toolkit.config import Config
from toolkit.core.errors import Interrupted, ToolkitError, TrainingError
from toolkit.engine import RunFolder, RunResult, Trainer
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.signals import resumable

Make = Callable[..., Config]


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def fail() -> None:
    raise RuntimeError("a user's mistake")


class Acts(paddle.callbacks.Callback):
    """Acts once, in one hook of one epoch (from 0)."""

    def __init__(self, hook: str, action: Callable[[], None], epoch: int = 0) -> None:
        super().__init__()
        self.action, self.at, self.epoch, self.done = action, epoch, 0, False
        setattr(self, hook, self.act)

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epoch = epoch

    def act(self, *args: object) -> None:
        if self.epoch == self.at and not self.done:
            self.done = True
            self.action()


@pytest.fixture
def fit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., RunResult]:
    """``fit(config, callback, resume)`` trains with a user's callback."""

    def run(config: Config, callback: Acts | None = None, resume: Path | None = None) -> RunResult:
        idle = Acts("on_train_end", lambda: None)
        monkeypatch.setattr(toolkit.engine.trainer, "custom_callbacks", lambda config: [callback or idle])
        return Trainer.from_config(config).fit(resume=resume)

    return run


def epochs_of(folder: RunFolder) -> list[int]:
    return [line["epoch"] for line in lines_of(folder)]


def only_run(config: Config) -> RunFolder:
    (path,) = config.output_dir.iterdir()
    return RunFolder(path)


def test_ctrl_c_in_an_evaluation_ends_the_run_there(make: Make, fit: Callable[..., RunResult]) -> None:
    config = make(train={"epochs": 3})
    with pytest.raises(Interrupted, match=r"in epoch 2 of 3, after step 3.*--resume"):
        fit(config, Acts("on_eval_begin", ctrl_c, epoch=1))
    assert epochs_of(only_run(config)) == [1]


def test_ctrl_c_while_features_are_computed_keeps_complete_files(
    make: Make, fit: Callable[..., RunResult], tmp_path: Path
) -> None:
    config = make()
    with pytest.raises(Interrupted, match="after epoch 0 of 2"):
        fit(config, Acts("on_train_begin", ctrl_c))
    assert len(list((tmp_path / "cache").glob("*/*.npy"))) == 1  # of the training images; none of the validation images
    assert fit(config, resume=only_run(config).path).last["epoch"] == 2


def test_ctrl_c_after_the_last_batch_is_not_lost(make: Make, fit: Callable[..., RunResult]) -> None:
    config = make()
    with pytest.raises(Interrupted, match="after epoch 2 of 2"):
        fit(config, Acts("on_eval_end", ctrl_c, epoch=1))
    result = fit(config, resume=only_run(config).path)
    assert epochs_of(result.folder) == [1, 2]
    assert result.folder.read_record()["finished"]


def test_resuming_a_finished_run_changes_nothing(make: Make, fit: Callable[..., RunResult]) -> None:
    config = make()
    first = fit(config)
    again = fit(config, resume=first.folder.path)
    assert (again.best, again.last, epochs_of(again.folder)) == (first.best, first.last, [1, 2])


def full_disk(folder: RunFolder, line: dict[str, Any]) -> None:
    raise ToolkitError("cannot write metrics.jsonl: No space left on device")


@pytest.mark.parametrize("trouble", ["callback", "disk"])
def test_an_error_costs_one_epoch_at_most(
    make: Make, fit: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    monkeypatch.setattr(toolkit.engine.runs.checkpoints, "_WRITING_SHARE", 1e9)  # no checkpoint within an epoch
    config = make(transfer={"preset": "all_stages"}, train={"epochs": 3})
    whole = fit(config.model_copy(update={"name": "whole", "output_dir": config.output_dir / "other"}))
    with monkeypatch.context() as patch:
        if trouble == "callback":
            with pytest.raises(TrainingError, match=r"Acts failed in on_train_batch_end, epoch 3.*a user's mistake"):
                fit(config, Acts("on_train_batch_end", fail, epoch=2))
        else:
            spoil = Acts("on_eval_begin", lambda: patch.setattr(RunFolder, "append_metrics", full_disk), epoch=2)
            with pytest.raises(ToolkitError, match="No space"):
                fit(config, spoil)
    folder = RunFolder(config.output_dir / "job")
    assert TrainingState.load(folder.last).epoch == 2
    resumed = fit(config, resume=folder.path)
    assert (resumed.last, resumed.best, epochs_of(folder)) == (whole.last, whole.best, [1, 2, 3])


def test_patience_is_resumed(make: Make, fit: Callable[..., RunResult]) -> None:
    stopping = {"early_stopping": {"monitor": "val/top1", "min_delta": 1.0, "patience": 3}}
    config = make(callbacks=stopping, train={"epochs": 20})
    with pytest.raises(Interrupted):
        fit(config, Acts("on_train_batch_end", ctrl_c, epoch=2))
    assert fit(config, resume=only_run(config).path).last["epoch"] == 4


def test_an_interrupted_comparison_is_resumed(
    make: Make, fit: Callable[..., RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make(
        transfer={"preset": "linear_probe", "compare": ["all_stages"], "compare_seeds": 2}, train={"epochs": 1}
    )
    done = fit(config)
    monkeypatch.setattr(
        toolkit.engine.trainer, "custom_callbacks", lambda config: [Acts("on_train_batch_end", ctrl_c)] * (config.seed)
    )
    with pytest.raises(Interrupted, match=f"--resume {done.folder.path}$"), resumable(done.folder):
        compare_presets(config, done)
    monkeypatch.undo()
    elsewhere = replace(done, folder=RunFolder(Path(os.path.relpath(done.folder.path))))  # --resume runs/job
    rows = compare_presets(config, elsewhere)
    assert [len(row.scores) for row in rows] == [2, 2]
    runs = sorted(path.name for path in (done.folder.path / "compare").iterdir())
    assert runs == ["all_stages-seed0", "all_stages-seed1", "linear_probe-seed1"]


def test_ctrl_c_after_training_says_that_it_is_complete(tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"complete.*--resume '.*my run'$"), resumable(RunFolder(tmp_path / "my run")):
        raise KeyboardInterrupt
