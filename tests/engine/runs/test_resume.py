"""A run that is interrupted anywhere and goes on ends with the same weights, to the bit."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import toolkit.engine.runs.checkpoints
from tests.engine.run_helpers import lines_of, weights_of
from toolkit.config import Config, load_config
from toolkit.core.errors import ConfigError, DivergedError, Interrupted, TrainingError
from toolkit.engine import RunFolder, RunResult, Trainer, build_job
from toolkit.engine.runs.checkpoints import CheckpointManager, load_newest
from toolkit.engine.runs.state import TrainingState

Make = Callable[..., Config]

JOBS: dict[str, dict[str, Any]] = {
    "momentum": {"train": {"optimizer": "momentum"}},
    "adamw, augmented": {"train": {"optimizer": "adamw"}, "data": {"augment": "standard"}},
    "dropout, accumulated": {"model": {"head": {"type": "mlp", "dropout": 0.5}}, "train": {"accumulate": 2}},
    "two phases": {"transfer": {"preset": "custom", "phases": [{"epochs": 2, "freeze": "all"}, {"epochs": 1}]}},
    "callbacks": {
        "callbacks": {
            "weight_averaging": {"kind": "ema"},
            "reduce_on_plateau": {"patience": 1, "min_delta": 1.0},
            "early_stopping": {"patience": 2, "min_delta": 1.0},
        },
    },
    "mixed, pulled back": {"train": {"mixup": 0.4, "cutmix": 1.0, "l2_sp": 0.01}},
}


class Stops(paddle.callbacks.Callback):
    """Ctrl-C after so many steps of the whole run."""

    def __init__(self, after: int, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.left, self.number = after, number

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Dies(Stops):
    """The same, as if the process were killed: nothing is saved any more."""

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise SystemExit


def finetune(make: Make, name: str = "job", **sections: Any) -> Config:
    values = {"transfer": {"preset": "all_stages"}, **sections}
    values["train"] = {"epochs": 3, **values.get("train", {})}
    return make(name=name, **values)


def timeless_lines(folder: RunFolder) -> list[dict[str, Any]]:
    """Of ``metrics.jsonl``, without what the clock says."""
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines_of(folder)]


def assert_same(one: RunResult, other: RunResult) -> None:
    assert (one.last, one.best, one.certainty) == (other.last, other.best, other.certainty)
    expected, found = weights_of(one.folder), weights_of(other.folder)
    assert expected.keys() == found.keys()
    assert [key for key in expected if not np.array_equal(expected[key], found[key])] == []
    assert timeless_lines(one.folder) == timeless_lines(other.folder)


@pytest.mark.parametrize("name", JOBS)
def test_interrupted_twice_in_the_middle_of_epochs(make: Make, name: str) -> None:
    whole = Trainer.from_config(finetune(make, "whole", **JOBS[name])).fit()
    config = finetune(make, **JOBS[name])
    folder = None
    for steps in (2, 3):  # of three in an epoch
        with pytest.raises(Interrupted, match="--resume"):
            Trainer(build_job(config), [Stops(steps)]).fit(resume=folder)
        folder = config.output_dir / "job"
    assert_same(whole, Trainer.from_config(config).fit(resume=folder))


def test_how_the_head_was_solved_is_still_known_after_resuming(make: Make) -> None:
    phases = [{"freeze": "all", "epochs": 1}, {"freeze": "layer3.1", "epochs": 2, "backbone_lr": 0.5}]
    config = make(
        transfer={"preset": "custom", "phases": phases}, data={"augment": "none"}, train={"solver": "exact"}, name="job"
    )
    trainer = Trainer(build_job(config), [Stops(2)])
    with pytest.raises(Interrupted):
        trainer.fit()
    solved = trainer.folder.read_record()["solver"]
    result = Trainer.from_config(config).fit(resume=trainer.folder.path)
    assert result.folder.read_record()["solver"] == solved


def test_written_along_the_way_and_killed_without_a_word(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Trainer.from_config(finetune(make, "whole")).fit()
    monkeypatch.setattr(toolkit.engine.runs.checkpoints, "_LONGEST", 0.0)
    monkeypatch.setattr(toolkit.engine.runs.checkpoints, "_WRITING_SHARE", 0)
    config = finetune(make)
    trainer = Trainer(build_job(config), [Dies(5)])
    with pytest.raises(SystemExit):
        trainer.fit()
    state = load_newest(trainer.folder)
    assert (state.epoch, state.step) == (1, 1)
    assert_same(whole, Trainer.from_config(config).fit(resume=trainer.folder.path))


def test_a_damaged_newest_checkpoint_falls_back(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Trainer.from_config(finetune(make, "whole")).fit()
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(8)]).fit()
    folder = RunFolder(config.output_dir / "job")
    data = bytearray(folder.last.read_bytes())
    data[len(data) // 2] ^= 1
    folder.last.write_bytes(data)
    result = Trainer.from_config(config).fit(resume=folder.path)
    assert "continuing from previous.safetensors" in capsys.readouterr().err
    assert_same(whole, result)


@pytest.mark.parametrize("operation", ["fsync", "link", "replace"])
def test_two_whole_checkpoints_stay_while_another_is_written(
    make: Make, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(5)]).fit()
    folder = RunFolder(config.output_dir / "job")
    before = [(state.epoch, state.step) for state in map(TrainingState.load, (folder.previous, folder.last))]
    checkpoints, left = CheckpointManager(folder, {}), {"link": 1, "fsync": 1, "replace": 2}[operation]
    checkpoints.snapshot(TrainingState.load(folder.last))
    real = getattr(os, operation)

    def dies(*arguments: Any, **words: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise SystemExit
        return real(*arguments, **words)

    monkeypatch.setattr(os, operation, dies)
    with pytest.raises(SystemExit):
        checkpoints.write()
    stayed = [(state.epoch, state.step) for state in map(TrainingState.load, (folder.previous, folder.last))]
    assert stayed == (before if operation != "replace" else [before[1], before[1]])


def test_saving_takes_a_tenth_of_the_time_and_a_long_epoch_is_saved_each_minute(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr(toolkit.engine.runs.checkpoints.time, "monotonic", lambda: clock[0])

    def takes_two_seconds(state: TrainingState, path: Path, *_: Any) -> None:
        clock[0] += 2.0

    monkeypatch.setattr(TrainingState, "save", takes_two_seconds)
    keeper = CheckpointManager(RunFolder.create(finetune(make)), {})
    assert keeper.due
    keeper.write()
    for later, due, overdue in ((19.9, False, False), (0.2, True, False), (59.8, True, False), (0.2, True, True)):
        clock[0] += later
        assert (keeper.due, keeper.overdue) == (due, overdue)


def test_what_a_killed_process_left_is_taken_away(make: Make) -> None:
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(2)]).fit()
    folder = RunFolder(config.output_dir / "job")
    for name in (".last.safetensors.0123abcd.tmp", ".new-best.pdparams", ".previous.safetensors.link"):
        (folder.last.parent / name).write_bytes(b"half")
    Trainer.from_config(config).fit(resume=folder.path)
    assert not list(folder.last.parent.glob(".*"))


def test_a_damaged_first_checkpoint_begins_anew(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    whole = Trainer.from_config(finetune(make, "whole")).fit()
    config = finetune(make)
    with pytest.raises(SystemExit):
        Trainer(build_job(config), [Dies(2)]).fit()
    folder = RunFolder(config.output_dir / "job")
    folder.last.write_bytes(folder.last.read_bytes()[:-1])
    result = Trainer.from_config(config).fit(resume=folder.path)
    said = capsys.readouterr().err
    assert "last.safetensors is not a checkpoint, or is damaged" in said
    assert "starting over" in said
    assert_same(whole, result)


def test_a_damaged_best_checkpoint_is_noticed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(5)]).fit()
    folder = RunFolder(config.output_dir / "job")
    data = bytearray(folder.best.read_bytes())
    data[-100] ^= 1
    folder.best.write_bytes(data)
    result = Trainer.from_config(config).fit(resume=folder.path)
    assert "best.pdparams is damaged" in capsys.readouterr().err
    assert result.best["epoch"] >= 2


def test_more_epochs_later(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make)
    done = Trainer.from_config(config).fit()
    said = capsys.readouterr().err
    assert 0 <= said.index("data: ") < said.index("plan: ")
    longer = load_config(done.folder.config, ["train.epochs=5"])
    result = Trainer.from_config(longer).fit(resume=done.folder.path)
    assert "data: " in capsys.readouterr().err
    assert result.last["epoch"] == 5
    assert [line["epoch"] for line in lines_of(result.folder)] == [1, 2, 3, 4, 5]


def test_a_head_that_was_solved_is_not_trained_on(make: Make) -> None:
    done = Trainer.from_config(make(train={"epochs": None})).fit()
    config, record = done.folder.config.read_text(encoding="utf-8"), done.folder.read_record()
    with pytest.raises(ConfigError, match="was solved"):
        Trainer.from_config(load_config(done.folder.config, ["train.epochs=5"])).fit(resume=done.folder.path)
    assert (done.folder.config.read_text(encoding="utf-8"), done.folder.read_record()) == (config, record)
    assert Trainer.from_config(load_config(done.folder.config)).fit(resume=done.folder.path).best == done.best


def test_resume_auto(make: Make) -> None:
    config = finetune(make, train={"resume": "auto"})
    whole = Trainer.from_config(finetune(make, "whole")).fit()
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(4)]).fit()
    result = Trainer.from_config(config).fit()
    assert result.folder.path.name == "job"
    assert_same(whole, result)
    assert Trainer.from_config(config).fit().folder.path.name == "job-2"  # the first one is finished


def test_a_run_in_use_is_refused(make: Make) -> None:
    config = finetune(make)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(2)]).fit()
    folder = RunFolder(config.output_dir / "job")
    held = folder.lock()
    with pytest.raises(TrainingError, match="in use"):
        Trainer.from_config(config).fit(resume=folder.path)
    assert held is not None
    held.release()
    Trainer.from_config(config).fit(resume=folder.path)


class Spoils(paddle.callbacks.Callback):
    """Makes a weight NaN, so often."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.left, self.epoch = times, 0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.epoch = epoch

    def on_train_batch_begin(self, step: int, logs: object = None) -> None:
        if self.epoch == 1 and self.left:
            self.left -= 1
            parameter = self.model.network.parameters()[-1]
            parameter.set_value(paddle.full_like(parameter, float("nan")))


def test_backoff_goes_back_with_half_the_rate(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make, train={"on_nan": "backoff", "schedule": "constant", "lr": 1e-3})
    result = Trainer(build_job(config), [Spoils(2)]).fit()
    rates = [line["train"]["lr"] for line in lines_of(result.folder)]
    assert rates == pytest.approx([1e-3, 2.5e-4, 2.5e-4])
    assert capsys.readouterr().err.count("half the learning rate") == 2
    assert all(np.isfinite(array).all() for array in weights_of(result.folder).values())


class Doubts(paddle.callbacks.Callback):
    """Takes the second epoch's evaluation for a diverged one, once."""

    def __init__(self) -> None:
        super().__init__()
        self.evaluations = 0

    def on_eval_end(self, logs: object = None) -> None:
        self.evaluations += 1
        if self.evaluations == 2:
            raise DivergedError("the loss is no number")


def test_interrupted_after_going_back_from_an_evaluation(make: Make) -> None:
    sections = {"callbacks": {"weight_averaging": {"kind": "ema"}}, "train": {"on_nan": "backoff"}}
    whole = Trainer(build_job(finetune(make, "whole", **sections)), [Doubts()]).fit()
    config = finetune(make, **sections)
    with pytest.raises(Interrupted):  # in the second epoch's second go: each has three steps
        Trainer(build_job(config), [Doubts(), Stops(8)]).fit()
    assert_same(whole, Trainer.from_config(config).fit(resume=config.output_dir / "job"))


@pytest.mark.parametrize(("on_nan", "times"), [("stop", 1), ("backoff", 1000)])
def test_a_loss_that_is_no_number_ends_the_run(
    make: Make, on_nan: str, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """With its last good state saved, and after going back eight times at most."""
    trainer = Trainer(build_job(finetune(make, train={"on_nan": on_nan})), [Spoils(times)])
    with pytest.raises(DivergedError):
        trainer.fit()
    assert capsys.readouterr().err.count("half the learning rate") == (0 if on_nan == "stop" else 8)
    state = load_newest(trainer.folder)
    assert (state.epoch, state.step) == (1, 0)
    assert all(np.isfinite(array).all() for array in state.weights.values())


def test_nothing_is_left_beside_the_checkpoints(make: Make) -> None:
    folder = Trainer.from_config(finetune(make)).fit().folder
    names = {path.name for path in (folder.path / "checkpoints").iterdir()}
    assert names == {"best.json", "best.pdparams", "last.safetensors", "previous.safetensors"}
    assert Path(folder.last).stat().st_nlink == 1
