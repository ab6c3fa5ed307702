"""The callbacks of a run are built from the config, called in order, and named when they fail."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.callbacks import Callback

from tests.engine.run_helpers import lines_of
from toolkit.callbacks import EarlyStopping, LambdaCallback
from toolkit.config import Config, load_config
from toolkit.core.errors import ConfigError, Interrupted, TrainingError
from toolkit.engine import RunFolder, Trainer
from toolkit.engine.callback_list import _PADDLES_STATE, CallbackList, as_paddle_logs
from toolkit.engine.runs.state import TrainingState
from toolkit.zoo import read_weights

Make = Callable[..., Config]

MODULE = '''
import os, signal
from paddle.callbacks import Callback

class Fails(Callback):
    def __init__(self, hook, epoch=0):
        super().__init__()
        self.epoch = -1
        def fail(*args):
            if self.epoch >= epoch or hook == "on_train_begin":
                helper(0)
        setattr(self, hook, fail)
    def on_epoch_begin(self, epoch, logs):
        self.epoch = epoch

def helper(number):
    return 1 / number

class WrittenForPaddle(Callback):
    """No defaults, the loss as a list, accuracy as acc: as Paddle's own fit gives it."""
    seen = []
    def on_train_begin(self, logs):
        assert self.params["epochs"] == 2 and self.params["steps"] and "acc" in self.params["metrics"]
    def on_epoch_begin(self, epoch, logs):
        self.seen.append(("epoch", epoch))
    def on_train_batch_begin(self, step, logs):
        logs["mine"] = 1
    def on_train_batch_end(self, step, logs):
        assert logs["loss"][0] == float(logs["loss"]) and 0 <= logs["acc"] <= 1
    def on_eval_begin(self, logs):
        self.seen.append(("steps", logs["steps"]))
    def on_eval_end(self, logs):
        self.seen.append(("loss", logs["loss"][0]))
    def on_train_end(self, logs):
        self.seen.append(("network", type(self.model.network).__name__))

def interrupt(step, logs):
    if os.environ.get("INTERRUPT") == str(epoch) and step == 1:
        del os.environ["INTERRUPT"]
        os.kill(os.getpid(), signal.SIGINT)

epoch = -1
def note(now, logs):
    global epoch
    epoch = now
'''


@pytest.fixture(autouse=True)
def _module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "run_callbacks.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "run_callbacks", raising=False)


@pytest.mark.parametrize(
    "hook",
    ["on_train_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end", "on_eval_end", "on_train_end"],
)
def test_a_callback_that_fails_is_named_and_the_run_can_be_resumed(
    make: Make, hook: str, capsys: pytest.CaptureFixture[str]
) -> None:
    custom = [{"path": "run_callbacks.Fails", "args": {"hook": hook, "epoch": 1}}]
    trainer = Trainer.from_config(make(callbacks={"custom": custom}))
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    when = "" if hook == "on_train_begin" else ", epoch 2"
    words = f"callback run_callbacks.Fails failed in {hook}{when}: ZeroDivisionError: division by zero ("
    assert caught.value.message.startswith(words)
    assert "run_callbacks.py:" in caught.value.message
    assert caught.value.exit_code == 1
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert caught.value.__cause__.__traceback__ is not None
    said = "".join(capsys.readouterr().err.split())
    assert f"--resume{trainer.folder.path}".replace(" ", "") in said
    epoch = {"on_train_begin": 0, "on_train_end": 2}.get(hook, 1)
    assert TrainingState.load(trainer.folder.last).epoch == epoch


def test_errors_that_are_not_the_callbacks_fault_are_passed_on(make: Make) -> None:
    trainer = Trainer.from_config(make())

    def fan(error: BaseException) -> CallbackList:
        def fail(epoch: int, logs: Any) -> None:
            raise error

        class Own(Callback):
            on_epoch_end = staticmethod(fail)

        return CallbackList([Own()], trainer.model, trainer.job)

    for error in (KeyboardInterrupt(), SystemExit(3), ConfigError("no"), TrainingError("so"), Interrupted("stop")):
        with pytest.raises(type(error)) as caught:
            fan(error).call("on_epoch_end", 0)
        assert caught.value is error
    with pytest.raises(TrainingError, match="KeyError: 'top_1'") as named:
        fan(KeyError("top_1")).call("on_epoch_end", 0)
    assert named.value.__cause__ is not None
    ours = EarlyStopping()
    ours.on_epoch_end = lambda *args: 1 / 0  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        CallbackList([ours], trainer.model, trainer.job).call("on_epoch_end", 0)
    with pytest.raises(TrainingError, match="LambdaCallback failed in on_epoch_end"):
        CallbackList([LambdaCallback(on_epoch_end=lambda *args: 1 / 0)], trainer.model, trainer.job).call(
            "on_epoch_end", 0
        )


def test_a_callback_written_for_paddle_finds_what_it_reads(make: Make) -> None:
    result = Trainer.from_config(make(callbacks={"custom": ["run_callbacks.WrittenForPaddle"]})).fit()
    seen = __import__("run_callbacks").WrittenForPaddle.seen
    losses = [line["val"]["loss"] for line in lines_of(result.folder)]
    assert [value for name, value in seen if name == "loss"] == losses
    assert [value for name, value in seen if name == "epoch"] == [0, 1]
    assert seen[-1] == ("network", "StagedNetwork")


def test_a_loss_is_both_a_number_and_a_list_of_one() -> None:
    loss = as_paddle_logs({"loss": 0.5, "top1": 1.0})["loss"]
    assert loss == 0.5
    assert loss[0] == loss[-1] == 0.5  # type: ignore[index]
    with pytest.raises(IndexError):
        loss[1]  # type: ignore[index]
    assert (f"{loss:.2f}", json.dumps({"loss": loss}), np.asarray([loss]).dtype) == ("0.50", '{"loss": 0.5}', "float64")
    assert not math.isnan(loss)


def test_paddles_own_callbacks_run_unchanged_beside_ours(make: Make, tmp_path: Path) -> None:
    """All three, in a real training, do what they do in Paddle's own loop, and what ours do."""
    from visualdl import LogReader

    stop = {"monitor": "acc", "mode": "max", "patience": 6, "verbose": 0, "min_delta": 2.0, "save_best_model": False}
    reduce = {"monitor": "loss", "patience": 1, "factor": 0.5, "verbose": 0, "min_delta": 1e9}
    custom = [
        {"path": "paddle.callbacks.EarlyStopping", "args": stop},
        {"path": "paddle.callbacks.ReduceLROnPlateau", "args": reduce},
        {"path": "paddle.callbacks.VisualDL", "args": {"log_dir": str(tmp_path / "theirs")}},
    ]
    ours = {
        "early_stopping": {"monitor": "top1", "min_delta": 2.0, "patience": 7},
        "csv_logger": True,
        "jsonl_logger": True,
        "model_checkpoint": {"keep_last": 1},
    }
    train = {"epochs": 30, "lr": 0.01, "schedule": "constant"}
    result = Trainer.from_config(make(callbacks={"custom": custom, **ours}, train=train)).fit()
    lines = lines_of(result.folder)
    assert len(lines) == 7  # the first epoch is the best, and Paddle's patience is shorter than ours
    rates = [0.01, 0.01, 0.005, 0.0025, 0.00125, 0.000625, 0.0003125]
    assert [line["train"]["lr"] for line in lines] == pytest.approx(rates)
    (record,) = (tmp_path / "theirs").iterdir()
    reader = LogReader(file_path=str(record))
    val = [round(item.value, 5) for item in reader.get_data("scalar", "eval%acc")]
    assert val == [round(line["val"]["top1"], 5) for line in lines]
    assert len(reader.get_data("scalar", "train%loss")) == 7 * 3
    with (result.folder.path / "epochs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val/loss"]) for row in rows] == [line["val"]["loss"] for line in lines]
    assert [path.name for path in (result.folder.path / "models").iterdir()] == ["007.pdparams"]


def test_paddles_own_callbacks_are_resumed(make: Make) -> None:
    trainer = Trainer.from_config(make())
    trainer.model._optimizer = paddle.optimizer.SGD(0.1, parameters=trainer.job.network.parameters())

    def fan() -> tuple[CallbackList, list[Callback]]:
        theirs = [
            paddle.callbacks.EarlyStopping("loss", patience=3, verbose=0, save_best_model=False),
            paddle.callbacks.ReduceLROnPlateau("loss", patience=3, verbose=0),
        ]
        return CallbackList(theirs, trainer.model, trainer.job), theirs

    first, _ = fan()
    first.call("on_train_begin")
    for epoch, loss in enumerate([0.5, 0.6, 0.7]):
        first.call("on_epoch_begin", epoch)
        first.call("on_eval_end", as_paddle_logs({"loss": loss}))
    state = json.loads(json.dumps(first.state()))
    second, theirs = fan()
    second.restore(state)
    second.call("on_train_begin")
    assert second.state() == first.state() == state
    assert [theirs[0].wait_epoch, theirs[0].best_value] == [2, 0.5]
    assert [theirs[1].wait, theirs[1].best] == [2, 0.5]
    second.call("on_train_begin")  # reused, they start afresh
    assert [theirs[0].wait_epoch, theirs[0].best_value] == [0, math.inf]
    for kind, names in _PADDLES_STATE.items():
        assert issubclass(kind, Callback)
        assert names


def test_states_belong_to_a_class_not_a_position(make: Make) -> None:
    trainer = Trainer.from_config(make())
    stops = [EarlyStopping(patience=9), EarlyStopping(patience=5, restore_best=True)]
    first = CallbackList(stops, trainer.model, trainer.job)
    first.call("on_train_begin")
    first.call("on_epoch_begin", 0)
    first.call("on_eval_end", {"loss": 0.5})
    assert sorted(first.state()) == ["EarlyStopping", "EarlyStopping 2"]
    assert {name.partition("/")[0] for name in first.arrays()} == {"EarlyStopping 2"}
    others = [Callback(), EarlyStopping(patience=9), LambdaCallback(), EarlyStopping(patience=5, restore_best=True)]
    second = CallbackList(others, trainer.model, trainer.job)
    second.restore(first.state(), first.arrays())
    assert (others[1].best, others[3].best) == (0.5, 0.5)
    assert second.arrays().keys() == first.arrays().keys()


def test_callbacks_see_the_batches_of_an_evaluation(make: Make) -> None:
    trainer = Trainer.from_config(make())
    seen: list[Any] = []
    told = LambdaCallback(
        on_eval_batch_begin=lambda step, logs: seen.append(("begin", step)),
        on_eval_batch_end=lambda step, logs: seen.append(("end", step, logs["batch_size"])),
    )
    loader = trainer.job.loader(trainer.job.data.train, training=False)
    sizes = [len(batch.labels) for batch in CallbackList([told], trainer.model, trainer.job).told(loader)]
    assert seen == [each for i, size in enumerate(sizes) for each in (("begin", i), ("end", i, size))]


def test_more_models_are_kept_and_can_be_used(make: Make) -> None:
    sections = [
        {"path": "{epoch:02d}-{val/loss:.3f}", "keep_best": 2, "monitor": "loss"},
        {"path": "steps/{step}.safetensors", "every_steps": 4, "keep_last": 1, "weights_only": False},
    ]
    config = make(callbacks={"model_checkpoint": sections}, train={"epochs": 4, "optimizer": "adamw"})
    result = Trainer.from_config(config).fit()
    models = result.folder.path / "models"
    losses = {line["epoch"]: line["val"]["loss"] for line in lines_of(result.folder)}
    best = sorted(sorted(losses, key=losses.__getitem__)[:2])
    assert sorted(path.name for path in models.glob("*.pdparams")) == [
        f"{epoch:02d}-{losses[epoch]:.3f}.pdparams" for epoch in best
    ]
    assert sorted(path.name for path in (models / "steps").iterdir()) == [
        "12.optimizer.safetensors",
        "12.safetensors",
    ]
    last = TrainingState.load(result.folder.last)
    for key, array in read_weights(models / "steps" / "12.safetensors").items():
        assert np.array_equal(array, last.weights[key]), key
    optimizer = read_weights(models / "steps" / "12.optimizer.safetensors")
    assert {key for key in optimizer if "moment1" in key} == {"fc.weight|moment1", "fc.bias|moment1"}


def test_the_best_weights_are_those_of_the_stop_that_restores_them(make: Make) -> None:
    stop = {"monitor": "train/loss", "mode": "max", "min_delta": 1e9, "patience": 2, "restore_best": True}
    config = make(callbacks={"early_stopping": stop}, train={"epochs": 9, "lr": 0.05})
    trainer = Trainer.from_config(config)
    seen: list[dict[str, Any]] = []

    def note(logs: Any) -> None:
        seen.append({key: value.numpy().copy() for key, value in trainer.job.network.state_dict().items()})

    trainer._more_callbacks = (LambdaCallback(on_eval_end=note),)
    result = trainer.fit()
    assert len(lines_of(result.folder)) == 3  # nothing is so much better than the first epoch
    assert result.best["epoch"] == 1
    last = TrainingState.load(result.folder.last).weights
    assert all(np.array_equal(last[key], seen[0][key]) for key in last)
    assert not all(np.array_equal(last[key], seen[2][key]) for key in last)


def test_all_callbacks_are_resumed_after_an_interruption(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sections = {
        "callbacks": {
            "early_stopping": {"monitor": "loss", "min_delta": 0.05, "patience": 2, "restore_best": True},
            "reduce_on_plateau": {"monitor": "loss", "min_delta": 0.05, "patience": 1},
            "model_checkpoint": {"path": "{epoch}", "keep_best": 1, "keep_last": 1, "weights_only": False},
            "csv_logger": True,
            "jsonl_logger": True,
            "functions": {"on_epoch_begin": "run_callbacks.note", "on_train_batch_end": "run_callbacks.interrupt"},
        },
        "train": {"epochs": 4, "optimizer": "adamw", "schedule": "linear", "warmup_steps": 4},
    }
    whole = Trainer.from_config(make(**sections)).fit()
    monkeypatch.setenv("INTERRUPT", "2")
    trainer = Trainer.from_config(make(**sections))
    with pytest.raises(Interrupted):
        trainer.fit()
    resumed = Trainer.from_config(load_config(trainer.folder.config)).fit(resume=trainer.folder.path)
    assert resumed.last == whole.last
    assert _files(resumed.folder) == _files(whole.folder)
    expected, found = (TrainingState.load(each.folder.last) for each in (whole, resumed))
    assert found.callbacks == expected.callbacks
    assert all(np.array_equal(expected.weights[key], found.weights[key]) for key in expected.weights)


def _files(folder: RunFolder) -> dict[str, bytes]:
    wanted = [*folder.path.glob("epochs.*"), *(folder.path / "models").rglob("*.*")]
    return {str(path.relative_to(folder.path)): path.read_bytes() for path in sorted(wanted)}


def test_a_wrong_function_leaves_no_folder(make: Make, tmp_path: Path) -> None:
    trainer = Trainer.from_config(make(callbacks={"functions": {"on_epoch_end": "run_callbacks.nothing"}}))
    with pytest.raises(ConfigError, match=r"callbacks\.functions\.on_epoch_end: .* has no nothing"):
        trainer.fit()
    assert not (tmp_path / "runs").exists()


def test_the_lines_of_epochs_mark_the_best_so_far(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    best = Trainer.from_config(make(train={"epochs": 6, "lr": 0.05})).fit().best
    lines = [line[:8] for line in capsys.readouterr().err.splitlines() if "/6" in line[:8]]
    marked = [line.endswith("*") for line in lines]
    assert len(lines) == 6
    assert marked[0]
    assert max(epoch for epoch, mark in enumerate(marked, 1) if mark) == best["epoch"]
