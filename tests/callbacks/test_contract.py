"""What every callback of ours keeps to."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle.callbacks import Callback

import toolkit.callbacks
from tests.callbacks.conftest import STEPS, Killed
from toolkit.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    JSONLLogger,
    LambdaCallback,
    ModelCheckpoint,
    MonitorCallback,
    ReduceLROnPlateau,
    RemoteMonitor,
    TerminateOnNaN,
    VisualDLLogger,
    WeightAveraging,
)
from toolkit.core.errors import ConfigError

LOSSES = [1.0, 0.8, 0.9, 0.85, 0.7, 0.75, 0.71, 0.72, 0.6]
POSITIONS = len(LOSSES) * (STEPS + 1)
RECORD = "vdlrecords.run.log"


class Place:
    """What a callback may leave behind.

    Attributes:
        folder: For its files.
        saved: What a ``Checkpoint`` asked to be kept: the weights.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.saved: dict[float, None] = {}


@dataclass(frozen=True)
class Case:
    """A callback that is held to the contract.

    Attributes:
        name: For the reports of pytest.
        kind: Its class.
        make: Makes one.
    """

    name: str
    kind: type
    make: Callable[[Place], Any]


def _weight(callback: Callback) -> float:
    return float(callback.model.network.weight[0, 0])


def _checkpoint(place: Place) -> Checkpoint:
    callback = Checkpoint(lambda: place.saved.update({_weight(callback): None}), monitor="val/loss")
    return callback


def _models(place: Place, **wanted: Any) -> ModelCheckpoint:
    def save(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(_weight(callback)), encoding="utf-8")

    callback = ModelCheckpoint(save, place.folder / "models", save_state=save, **wanted)
    return callback


CASES = (
    Case("CSVLogger", CSVLogger, lambda place: CSVLogger(place.folder / "epochs.csv")),
    Case("Checkpoint", Checkpoint, _checkpoint),
    Case("EarlyStopping", EarlyStopping, lambda _: EarlyStopping(patience=3, min_delta=0.01)),
    Case("restore_best", EarlyStopping, lambda _: EarlyStopping(patience=3, min_delta=0.05, restore_best=True)),
    Case("baseline", EarlyStopping, lambda _: EarlyStopping(patience=3, baseline=0.65, start_epoch=2)),
    Case("JSONLLogger", JSONLLogger, lambda place: JSONLLogger(place.folder / "epochs.jsonl")),
    Case("LambdaCallback", LambdaCallback, lambda _: LambdaCallback(on_epoch_end=lambda epoch, logs: None)),
    Case("ModelCheckpoint", ModelCheckpoint, lambda place: _models(place, path="{epoch:02d}-{val/loss:.3f}")),
    Case("keep", ModelCheckpoint, lambda place: _models(place, keep_last=2, keep_best=2, every_epochs=2)),
    Case("keep_best", ModelCheckpoint, lambda place: _models(place, keep_best=2)),
    Case("best_only", ModelCheckpoint, lambda place: _models(place, path="best", best_only=True, min_delta=0.02)),
    Case("every_steps", ModelCheckpoint, lambda place: _models(place, every_steps=4, keep_last=3)),
    Case(
        "ReduceLROnPlateau",
        ReduceLROnPlateau,
        lambda _: ReduceLROnPlateau(factor=0.5, patience=2, cooldown=3, min_lr=0.01),
    ),
    Case(
        "RemoteMonitor",
        RemoteMonitor,
        lambda _: RemoteMonitor("http://127.0.0.1:9/", timeout=0.1, retries=0, flush_seconds=0.0),
    ),
    Case("TerminateOnNaN", TerminateOnNaN, lambda _: TerminateOnNaN()),
    Case("VisualDLLogger", VisualDLLogger, lambda place: VisualDLLogger(place.folder, every=2)),
    Case("WeightAveraging", WeightAveraging, lambda _: WeightAveraging(decay=0.9)),
    Case("last", WeightAveraging, lambda _: WeightAveraging("last", last=3)),
)


def _each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


every_callback = _each(list(CASES))
every_stateful_callback = _each([case for case in CASES if hasattr(case.kind, "state_dict")])
every_monitor = _each([case for case in CASES if issubclass(case.kind, MonitorCallback)])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "place")


@pytest.fixture
def make(place: Place) -> Iterator[Callable[..., Any]]:
    made = []

    def build(case: Case, where: Place = place) -> Any:
        made.append(case.make(where))
        return made[-1]

    yield build
    for callback in made:
        if hasattr(callback, "close"):
            callback.close()


@pytest.fixture
def products(read_record: Any) -> Callable[[Place, Any], Any]:
    """All that a callback has left behind, and what it knows."""

    def find(place: Place, callback: Any) -> Any:
        if hasattr(callback, "close"):
            callback.close()
        files = {
            str(path.relative_to(place.folder)): read_record(path) if path.name == RECORD else path.read_bytes()
            for path in sorted(place.folder.rglob("*"))
            if path.is_file() and "earlier" not in path.name
        }
        arrays = {name: array.tolist() for name, array in callback.arrays().items()} if _has_arrays(callback) else {}
        return files, list(place.saved), arrays

    return find


def _has_arrays(callback: Any) -> bool:
    return hasattr(callback, "arrays") and hasattr(callback, "set_arrays")


def _snapshot(callback: Any) -> tuple[Any, dict[str, Any]]:
    arrays = {name: array.copy() for name, array in callback.arrays().items()} if _has_arrays(callback) else {}
    return json.loads(json.dumps(callback.state_dict())), arrays


def _restore(callback: Any, snapshot: tuple[Any, dict[str, Any]]) -> None:
    callback.set_state_dict(snapshot[0])
    if _has_arrays(callback):
        callback.set_arrays(snapshot[1])


def test_every_callback_is_here() -> None:
    found = (getattr(toolkit.callbacks, name) for name in toolkit.callbacks.__all__)
    classes = {each for each in found if inspect.isclass(each) and not inspect.isabstract(each)}
    assert {case.kind for case in CASES} == {each for each in classes if issubclass(each, Callback)}


@every_callback
def test_protocol(case: Case, make: Any) -> None:
    kind = case.kind
    assert issubclass(kind, Callback)
    known = {name for name in dir(Callback) if name.startswith("on_")}
    assert {name for name in dir(kind) if name.startswith("on_")} == known
    assert kind.__doc__
    for one, other in (("state_dict", "set_state_dict"), ("arrays", "set_arrays")):
        assert hasattr(kind, one) == hasattr(kind, other)
    for hook in known:  # as Paddle calls them
        count = (
            1
            if hook.endswith(("train_begin", "train_end", "eval_begin", "eval_end", "predict_begin", "predict_end"))
            else 2
        )
        inspect.signature(getattr(make(case), hook)).bind(*[0, {}][-count:])


@every_callback
def test_used_again_it_starts_anew(case: Case, make: Any, run: Any, place: Place, products: Any) -> None:
    callback = make(case)
    first = run([callback], LOSSES), products(place, callback)
    place.saved.clear()
    assert (run([callback], LOSSES), products(place, callback)) == first


@every_callback
def test_used_again_after_it_was_broken_off_it_starts_anew(
    case: Case, make: Any, run: Any, place: Place, products: Any, tmp_path: Path
) -> None:
    def kill(position: int, _: paddle.Model) -> None:
        if position == 6:
            raise Killed

    callback, fresh, elsewhere = make(case), make(case, Place(tmp_path / "else")), Place(tmp_path / "else")
    with pytest.raises(Killed):
        run([callback], LOSSES, watch=kill)
    place.saved.clear()
    assert run([callback], LOSSES[:3]) == run([fresh], LOSSES[:3])
    if case.kind not in (Checkpoint, ModelCheckpoint):  # their files are the same, and some more
        assert products(place, callback) == products(elsewhere, fresh)


@every_stateful_callback
def test_a_restored_state_goes_on_as_if_nothing_had_happened(
    case: Case, make: Any, run: Any, make_model: Any, tmp_path: Path, products: Any
) -> None:
    """Saved after any batch or epoch, killed then or a few batches later, and restored in a new process."""
    whole_place = Place(tmp_path / "whole")
    callback = make(case, whole_place)
    whole = run([callback], LOSSES)
    expected = products(whole_place, callback)
    for position in range(1, POSITIONS):
        place, taken = Place(tmp_path / str(position)), []
        interrupted = make(case, place)

        def watch(now: int, model: paddle.Model, position: int = position, taken: list[Any] = taken) -> None:
            if now == position:
                rate = float(model._optimizer.get_lr())
                taken.append((_snapshot(interrupted), rate, model.network.weight.numpy()))  # noqa: B023
            if now >= position + (5 if position % 2 else 0):
                raise Killed

        try:
            before = run([interrupted], LOSSES, watch=watch)
        except Killed:
            before = None
        if not taken:  # it had stopped before
            assert before == whole
            continue
        if hasattr(interrupted, "close"):
            interrupted.close()
        snapshot, rate, weight = taken[0]
        restored, model = make(case, place), make_model(rate)
        model.network.weight.set_value(weight)
        epoch, done = divmod(position, STEPS + 1)
        place.saved.update({weight: None for weight in expected[1] if weight <= epoch * STEPS})
        _restore(restored, snapshot)
        after = run([restored], LOSSES, model=model, first=epoch, done=done)
        assert [*whole.epochs[:epoch], *after.epochs] == whole.epochs, position
        assert after.rates == pytest.approx(whole.rates[epoch:]), position
        assert after.weight == whole.weight, position
        assert products(place, restored) == expected, position


@every_callback
def test_an_evaluation_outside_of_training_changes_nothing(
    case: Case, make: Any, run: Any, make_model: Any, place: Place
) -> None:
    callback, model = make(case), make_model()
    callback.set_model(model)
    callback.on_eval_begin({})
    callback.on_eval_end({"loss": 0.01})
    assert run([callback], LOSSES[:2], model).epochs == [0, 1]
    rate, files, count = model._optimizer.get_lr(), sorted(place.folder.rglob("*")), dict(place.saved)
    for _ in range(20):
        callback.on_eval_end({"loss": 9.0})
    assert (model._optimizer.get_lr(), sorted(place.folder.rglob("*")), place.saved) == (rate, files, count)
    assert model.stop_training is False


@every_callback
def test_it_runs_in_the_loop_of_paddle_itself(case: Case, make: Any, make_model: Any) -> None:
    images, labels = np.random.default_rng(0).normal(size=(8, 2)).astype("float32"), np.arange(8) % 2
    data = paddle.io.TensorDataset([paddle.to_tensor(images), paddle.to_tensor(labels)])
    model = make_model(0.1)
    model.fit(data, data, batch_size=4, epochs=2, verbose=0, callbacks=[make(case)])
    assert model._optimizer.get_lr() == pytest.approx(0.1)


@every_callback
def test_other_processes_write_nothing(
    case: Case, make: Any, run: Any, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(callback: Any) -> Any:
        return callback.state_dict() if hasattr(callback, "state_dict") and case.kind is not VisualDLLogger else None

    main = make(case)
    whole = run([main], LOSSES)
    other_place = Place(place.folder.with_name("other"))
    with monkeypatch.context() as patch:
        patch.setenv("PADDLE_TRAINER_ID", "1")
        other = make(case, other_place)
        assert run([other], LOSSES) == whole  # every process takes the same decisions
        assert not other_place.folder.exists()
    assert known(other) == known(main)


@every_monitor
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_nan_is_never_better(case: Case, bad: float, mode: str, make: Any, run: Any) -> None:
    callback = make(case)
    callback.mode = mode
    run([callback], [bad] * 4)
    assert callback.best is None
    if case.name not in ("baseline", "keep", "every_steps"):
        run([callback], [0.5, bad])
        assert (callback.best, callback.best_epoch) == (0.5, 0)


@every_monitor
def test_an_unknown_monitor_is_refused_before_the_first_step(case: Case, make: Any, run: Any, place: Place) -> None:
    callback, steps = make(case), []
    callback.monitor = "val/top_1"
    with pytest.raises(ConfigError, match="unknown monitor 'val/top_1'; known are val/top1, ") as caught:
        run([callback], LOSSES, watch=lambda position, _: steps.append(position))
    assert caught.value.hint == "did you mean val/top1?"
    assert caught.value.exit_code == 2
    assert (steps, place.saved, place.folder.exists()) == ([], {}, False)


@every_monitor
def test_a_metric_that_is_not_measured_is_named_before_the_first_step(case: Case, make: Any, run: Any) -> None:
    callback, steps = make(case), []
    callback.monitor = "val/top5"
    with pytest.raises(ConfigError, match=r"val/top5 is not measured .*\(val/loss, val/top1, val/acc\)"):
        run([callback], LOSSES, watch=lambda position, _: steps.append(position))
    assert steps == []
