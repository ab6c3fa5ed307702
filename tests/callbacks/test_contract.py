"""What every callback of ours keeps to."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.callbacks import Callback

import toolkit.callbacks
import toolkit.errors
from toolkit.callbacks import (
    Checkpoint,
    EarlyStopping,
    MonitorCallback,
    ReduceLROnPlateau,
    TerminateOnNaN,
    VisualDLLogger,
)

LOSSES = [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.71, 0.72, 0.73, 0.74, 0.6, 0.9]


class Recorder(list[str]):
    """Stands for the files that a checkpoint writes."""

    def best(self) -> None:
        self.append("best")


def _factories(folder: Path, saved: Recorder) -> dict[type, Callable[[], Any]]:
    return {
        Checkpoint: lambda: Checkpoint(saved.best, monitor="val/loss"),
        EarlyStopping: lambda: EarlyStopping(patience=3, min_delta=0.01),
        ReduceLROnPlateau: lambda: ReduceLROnPlateau(factor=0.5, patience=2, cooldown=3, min_lr=0.01),
        TerminateOnNaN: TerminateOnNaN,
        VisualDLLogger: lambda: VisualDLLogger(folder, every=2),
    }


CALLBACKS = sorted(
    (
        found
        for name in toolkit.callbacks.__all__
        if inspect.isclass(found := getattr(toolkit.callbacks, name)) and not inspect.isabstract(found)
    ),
    key=lambda found: found.__name__,
)
MONITORS = [kind for kind in CALLBACKS if issubclass(kind, MonitorCallback)]
every_callback = pytest.mark.parametrize("kind", CALLBACKS, ids=lambda kind: kind.__name__)
every_stateful_callback = pytest.mark.parametrize(
    "kind", [kind for kind in CALLBACKS if hasattr(kind, "state_dict")], ids=lambda kind: kind.__name__
)
every_monitor = pytest.mark.parametrize("kind", MONITORS, ids=lambda kind: kind.__name__)


@pytest.fixture
def saved() -> Recorder:
    return Recorder()


@pytest.fixture
def make(tmp_path: Path, saved: Recorder) -> Callable[[type], Any]:
    return lambda kind: _factories(tmp_path, saved)[kind]()


def test_every_callback_is_here(tmp_path: Path) -> None:
    assert set(CALLBACKS) == set(_factories(tmp_path, Recorder()))


@every_callback
def test_protocol(kind: type) -> None:
    assert issubclass(kind, Callback)
    known = {name for name in dir(Callback) if name.startswith("on_")}
    assert {name for name in dir(kind) if name.startswith("on_")} == known
    assert kind.__doc__
    assert hasattr(kind, "state_dict") == hasattr(kind, "set_state_dict")


@every_callback
def test_used_again_it_starts_anew(
    kind: type, make: Any, run: Any, saved: Recorder, tmp_path: Path, read_record: Any
) -> None:
    callback = make(kind)
    first, first_saved = run([callback], LOSSES), list(saved)
    first_record = read_record(tmp_path / "vdlrecords.run.log") if kind is VisualDLLogger else None
    saved.clear()
    assert run([callback], LOSSES) == first
    assert saved == first_saved
    if first_record is not None:
        assert read_record(tmp_path / "vdlrecords.run.log") == first_record


@every_stateful_callback
@pytest.mark.parametrize("split", range(1, len(LOSSES)))
def test_a_restored_state_goes_on_as_if_nothing_had_happened(
    kind: type, split: int, make: Any, run: Any, make_model: Any, saved: Recorder
) -> None:
    whole = run([make(kind)], LOSSES)
    whole_saved = list(saved)
    saved.clear()
    interrupted = make(kind)
    before = run([interrupted], LOSSES[:split])
    state = json.loads(json.dumps(interrupted.state_dict()))
    restored = make(kind)
    restored.set_state_dict(state)
    assert restored.state_dict()["best" if kind in MONITORS else "step"] is not None
    if len(before.epochs) < len(whole.epochs):
        after = run([restored], LOSSES, model=make_model(before.rates[-1]), first=split)
        assert before.epochs + after.epochs == whole.epochs
        assert before.rates + after.rates == pytest.approx(whole.rates)
        assert saved == whole_saved
    else:
        assert before == whole


@every_callback
def test_an_evaluation_outside_of_training_changes_nothing(
    kind: type, make: Any, run: Any, make_model: Any, saved: Recorder, tmp_path: Path
) -> None:
    callback, model = make(kind), make_model()
    callback.set_model(model)
    callback.on_eval_begin({})
    callback.on_eval_end({"loss": 0.01})
    assert run([callback], LOSSES[:2], model).epochs == [0, 1]
    rate, files, count = model._optimizer.get_lr(), sorted(tmp_path.iterdir()), list(saved)
    for _ in range(20):
        callback.on_eval_end({"loss": 9.0})
    assert (model._optimizer.get_lr(), sorted(tmp_path.iterdir()), saved) == (rate, files, count)
    assert model.stop_training is False


@every_callback
def test_it_runs_in_the_loop_of_paddle_itself(kind: type, make: Any, make_model: Any) -> None:
    images, labels = np.random.default_rng(0).normal(size=(8, 2)).astype("float32"), np.arange(8) % 2
    data = paddle.io.TensorDataset([paddle.to_tensor(images), paddle.to_tensor(labels)])
    model = make_model(0.1)
    model.fit(data, data, batch_size=4, epochs=2, verbose=0, callbacks=[make(kind)])
    assert model._optimizer.get_lr() == pytest.approx(0.1)


@every_monitor
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_better(kind: type[MonitorCallback], bad: float, mode: str, make: Any, run: Any) -> None:
    callback = make(kind)
    callback.mode = mode
    run([callback], [bad])
    assert callback.best is None
    run([callback], [0.5, bad])
    assert (callback.best, callback.best_epoch) == (0.5, 0)


@every_monitor
def test_an_unknown_monitor_is_refused_before_the_first_step(
    kind: type[MonitorCallback], make: Any, run: Any, saved: Recorder
) -> None:
    callback = make(kind)
    callback.monitor = "val/top_1"
    with pytest.raises(toolkit.errors.ConfigError, match="unknown monitor 'val/top_1'; known are val/top1, ") as caught:
        run([callback], LOSSES)
    assert caught.value.hint == "did you mean val/top1?"
    assert caught.value.exit_code == 2
    assert saved == []


@every_monitor
def test_a_metric_that_is_not_measured_is_named(kind: type[MonitorCallback], make: Any, run: Any) -> None:
    callback = make(kind)
    callback.monitor = "val/top5"
    with pytest.raises(toolkit.errors.ConfigError, match=r"val/top5 is not among .*\(val/loss, val/top1, val/acc\)"):
        run([callback], LOSSES)
