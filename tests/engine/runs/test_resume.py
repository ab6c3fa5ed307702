"""A run that is interrupted anywhere and resumed ends with the same weights, to the bit."""

from __future__ import annotations

import os
import shutil
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
    """Sends Ctrl-C after a number of steps of the whole run."""

    def __init__(self, after: int, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.left, self.number = after, number

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Dies(Stops):
    """Ends the run as if the process were killed: nothing is saved any more."""

    def on_train_batch_end(self, step: int, logs: object = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise SystemExit


def finetune(make: Make, name: str = "job", **sections: Any) -> Config:
    values = {"transfer": {"preset": "all_stages"}, **sections}
    values["train"] = {"epochs": 3, **values.get("train", {})}
    return make(name=name, **values)


@pytest.fixture(scope="module")
def whole(make_in: Callable[[Path], Make], tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """An uninterrupted run; tests only read it."""
    return Trainer.from_config(finetune(make_in(tmp_path_factory.mktemp("whole")))).fit()


def interrupted(config: Config, *callbacks: paddle.callbacks.Callback, resume: Path | None = None) -> RunFolder:
    """The folder of a run that one of the callbacks interrupts."""
    trainer = Trainer(build_job(config), callbacks)
    with pytest.raises(Interrupted, match="--resume"):
        trainer.fit(resume=resume)
    return trainer.folder


def killed(config: Config, after: int) -> RunFolder:
    """The folder of a run killed after a number of steps."""
    trainer = Trainer(build_job(config), [Dies(after)])
    with pytest.raises(SystemExit):
        trainer.fit()
    return trainer.folder


def resumed(config: Config, folder: RunFolder) -> RunResult:
    return Trainer.from_config(config).fit(resume=folder.path)


def flip_a_bit(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def timeless_lines(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of ``metrics.jsonl`` without times."""
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
    folder = interrupted(config, Stops(2))  # of three steps in an epoch
    folder = interrupted(config, Stops(3), resume=folder.path)
    assert_same(whole, resumed(config, folder))


def test_how_the_head_was_solved_is_still_known_after_resuming(make: Make) -> None:
    phases = [{"freeze": "all", "epochs": 1}, {"freeze": "layer3.1", "epochs": 2, "backbone_lr": 0.5}]
    config = make(transfer={"preset": "custom", "phases": phases}, data={"augment": "none"}, train={"solver": "exact"})
    folder = interrupted(config, Stops(2))
    solved = folder.read_record()["solver"]
    assert resumed(config, folder).folder.read_record()["solver"] == solved


def test_a_killed_run_resumes_from_a_checkpoint_within_an_epoch(
    make: Make, whole: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolkit.engine.runs.checkpoints, "_LONGEST", 0.0)
    monkeypatch.setattr(toolkit.engine.runs.checkpoints, "_WRITING_SHARE", 0)
    config = finetune(make)
    folder = killed(config, after=5)
    state = load_newest(folder)
    assert (state.epoch, state.step) == (1, 1)
    assert_same(whole, resumed(config, folder))


def test_a_damaged_newest_checkpoint_falls_back(
    make: Make, whole: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    config = finetune(make)
    folder = interrupted(config, Stops(8))
    flip_a_bit(folder.last, folder.last.stat().st_size // 2)
    result = resumed(config, folder)
    assert "continuing from previous.safetensors" in capsys.readouterr().err
    assert_same(whole, result)


@pytest.mark.parametrize("operation", ["fsync", "link", "replace"])
def test_two_whole_checkpoints_stay_while_another_is_written(
    make: Make, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    folder = interrupted(finetune(make), Stops(5))
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


def test_saving_takes_a_tenth_of_the_time_and_long_epochs_are_saved_each_minute(
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


def test_leftovers_of_a_killed_process_are_removed(make: Make) -> None:
    config = finetune(make)
    folder = interrupted(config, Stops(2))
    for name in (".last.safetensors.0123abcd.tmp", ".new-best.pdparams", ".previous.safetensors.link"):
        (folder.last.parent / name).write_bytes(b"half")
    resumed(config, folder)
    assert not list(folder.last.parent.glob(".*"))


def test_a_run_with_a_damaged_first_checkpoint_starts_over(
    make: Make, whole: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    config = finetune(make)
    folder = killed(config, after=2)
    folder.last.write_bytes(folder.last.read_bytes()[:-1])
    result = resumed(config, folder)
    said = capsys.readouterr().err
    assert "last.safetensors is not a checkpoint, or is damaged" in said
    assert "starting over" in said
    assert_same(whole, result)


def test_a_damaged_best_checkpoint_is_noticed(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make)
    folder = interrupted(config, Stops(5))
    flip_a_bit(folder.best, -100)
    result = resumed(config, folder)
    assert "best.pdparams is damaged" in capsys.readouterr().err
    assert result.best["epoch"] >= 2


def test_more_epochs_later(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make)
    done = Trainer.from_config(config).fit()
    said = capsys.readouterr().err
    assert 0 <= said.index("data: ") < said.index("plan: ")
    longer = load_config(done.folder.config, ["train.epochs=4"])
    result = Trainer.from_config(longer).fit(resume=done.folder.path)
    assert "data: " in capsys.readouterr().err
    assert result.last["epoch"] == 4
    assert [line["epoch"] for line in lines_of(result.folder)] == [1, 2, 3, 4]


def test_a_head_that_was_solved_is_not_trained_on(make: Make) -> None:
    done = Trainer.from_config(make(train={"epochs": None})).fit()
    config, record = done.folder.config.read_text(encoding="utf-8"), done.folder.read_record()
    with pytest.raises(ConfigError, match="was solved"):
        Trainer.from_config(load_config(done.folder.config, ["train.epochs=5"])).fit(resume=done.folder.path)
    assert (done.folder.config.read_text(encoding="utf-8"), done.folder.read_record()) == (config, record)
    assert Trainer.from_config(load_config(done.folder.config)).fit(resume=done.folder.path).best == done.best


def test_resume_auto(make: Make, whole: RunResult) -> None:
    config = finetune(make, train={"resume": "auto"})
    interrupted(config, Stops(4))
    result = Trainer.from_config(config).fit()
    assert result.folder.path.name == "job"
    assert_same(whole, result)
    assert Trainer.from_config(config).fit().folder.path.name == "job-2"  # the first one is finished


def test_a_run_in_use_is_refused(whole: RunResult, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(whole.folder.path, tmp_path / "job"))
    config = load_config(folder.config)
    held = folder.lock()
    with pytest.raises(TrainingError, match="in use"):
        resumed(config, folder)
    assert held is not None
    held.release()
    resumed(config, folder)


class Spoils(paddle.callbacks.Callback):
    """Makes a weight NaN in the second epoch, a number of times."""

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


def test_backoff_goes_back_and_halves_the_rate(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    config = finetune(make, train={"on_nan": "backoff", "schedule": "constant", "lr": 1e-3})
    result = Trainer(build_job(config), [Spoils(2)]).fit()
    rates = [line["train"]["lr"] for line in lines_of(result.folder)]
    assert rates == pytest.approx([1e-3, 2.5e-4, 2.5e-4])
    assert capsys.readouterr().err.count("half the learning rate") == 2
    assert all(np.isfinite(array).all() for array in weights_of(result.folder).values())


class Doubts(paddle.callbacks.Callback):
    """Reports the second evaluation as diverged."""

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
    folder = interrupted(config, Doubts(), Stops(8))  # in the second attempt at the second epoch; each has three steps
    assert_same(whole, resumed(config, folder))


@pytest.mark.parametrize(("on_nan", "times"), [("stop", 1), ("backoff", 1000)])
def test_a_loss_that_is_no_number_ends_the_run(
    make: Make, on_nan: str, times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last good state is saved; ``backoff`` first goes back eight times."""
    trainer = Trainer(build_job(finetune(make, train={"on_nan": on_nan})), [Spoils(times)])
    with pytest.raises(DivergedError):
        trainer.fit()
    assert capsys.readouterr().err.count("half the learning rate") == (0 if on_nan == "stop" else 8)
    state = load_newest(trainer.folder)
    assert (state.epoch, state.step) == (1, 0)
    assert all(np.isfinite(array).all() for array in state.weights.values())


def test_nothing_is_left_beside_the_checkpoints(whole: RunResult) -> None:
    names = {path.name for path in (whole.folder.path / "checkpoints").iterdir()}
    assert names == {"best.json", "best.pdparams", "last.safetensors", "previous.safetensors"}
    assert whole.folder.last.stat().st_nlink == 1
