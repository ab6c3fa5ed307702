"""EarlyStopping on scripted losses."""

from __future__ import annotations

import math
from typing import Any

import pytest
from paddle.callbacks import EarlyStopping as PaddleEarlyStopping

from tests.callbacks.conftest import STEPS, Killed
from toolkit.callbacks import EarlyStopping


@pytest.mark.parametrize(
    ("patience", "losses", "epochs"),
    [
        (0, [1.0, 0.9, 0.8, 0.85, 0.1], 4),
        (0, [1.0, 0.9, 0.8], 3),
        (0, [1.0, 1.0, 0.5], 2),
        (1, [1.0, 0.9, 0.8, 0.85, 0.1], 4),
        (2, [1.0, 1.1, 0.9, 1.0, 1.0, 0.1], 5),
        (3, [1.0, 1.1, 1.2, 0.9, 1.0, 1.0], 6),
        (0, [math.nan, 0.5], 1),
        (2, [math.nan, 0.5, math.nan, 0.4, math.nan, math.nan, 0.1], 6),
    ],
)
def test_epochs_that_run(patience: int, losses: list[float], epochs: int, run: Any) -> None:
    assert len(run([EarlyStopping(patience=patience)], losses).epochs) == epochs


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("delta", [0.0, 0.05])
def test_as_paddle_does_for_positive_patience(patience: int, delta: float, run: Any) -> None:
    losses = [1.0, 0.9, 0.92, 0.86, 0.88, 0.87, 0.7, 0.71, 0.72, 0.73, 0.6]
    theirs = PaddleEarlyStopping("loss", "min", patience, verbose=0, min_delta=delta, save_best_model=False)
    assert run([EarlyStopping(patience=patience, min_delta=delta)], losses) == run([theirs], losses)


def test_more_is_better_for_accuracy(run: Any) -> None:
    script = [{"loss": 1.0, "top1": value} for value in (0.1, 0.2, 0.15, 0.3)]
    callback = EarlyStopping("val/top1", patience=0)
    assert len(run([callback], script).epochs) == 3
    assert (callback.best, callback.best_epoch, callback.stopped_epoch) == (0.2, 1, 2)


def test_a_second_training_is_not_stopped_by_the_first(run: Any, make_model: Any) -> None:
    callback, model = EarlyStopping(patience=1), make_model()
    assert len(run([callback], [1.0, 2.0, 3.0], model).epochs) == 2
    assert model.stop_training is True
    assert len(run([callback], [1.0, 0.9, 0.8], model).epochs) == 3
    assert callback.stopped_epoch is None


def test_a_new_phase_has_its_own_patience(run: Any) -> None:
    callback = EarlyStopping(patience=2)
    run([callback], [1.0, 1.1])
    assert callback.wait == 1
    callback.start_phase()
    assert (callback.wait, callback.best) == (0, 1.0)


def test_it_says_why(run: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("toolkit.callbacks.early_stopping.info", said.append)
    run([EarlyStopping(patience=2)], [1.0, 1.1, 1.2])
    run([EarlyStopping(patience=0)], [math.nan])
    assert said == [
        "early stopping after epoch 3: val/loss has not improved for 2 epochs (best: 1.0000 in epoch 1)",
        "early stopping after epoch 1: val/loss has not improved for 1 epoch (no finite value)",
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("baseline", "losses", "epochs", "best"),
    [
        (0.5, [0.9, 0.8, 0.7, 0.6, 0.1], 3, None),
        (0.5, [0.9, 0.8, 0.4, 0.45, 0.41, 0.42, 0.1], 6, 0.4),
        (2.0, [0.9, 0.8, 0.7, 0.6, 0.1], 5, 0.1),
        (0.5, [0.5, 0.5, 0.5, 0.1], 3, None),
    ],
)
@pytest.mark.parametrize("delta", [0.0, 0.001])
def test_a_baseline_must_be_beaten(
    baseline: float, losses: list[float], epochs: int, best: float | None, delta: float, run: Any
) -> None:
    callback = EarlyStopping(patience=3, baseline=baseline, min_delta=delta)
    trace = run([callback], losses)
    assert len(trace.epochs) == epochs
    assert callback.best == best
    theirs = PaddleEarlyStopping("loss", "min", 3, 0, delta, baseline, save_best_model=False)
    assert run([theirs], losses) == trace


def test_a_baseline_of_what_should_grow(run: Any) -> None:
    script = [{"loss": 1.0, "top1": value} for value in (0.3, 0.4, 0.6, 0.7, 0.6)]
    callback = EarlyStopping("val/top1", patience=2, baseline=0.5)
    assert len(run([callback], script).epochs) == 2
    callback = EarlyStopping("val/top1", patience=3, baseline=0.5)
    assert len(run([callback], script).epochs) == 5


def test_the_first_epochs_are_not_looked_at(run: Any) -> None:
    callback = EarlyStopping(patience=1, start_epoch=3)
    trace = run([callback], [0.1, 0.2, 0.3, 0.9, 0.8, 0.85, 0.1])
    assert trace.epochs == [0, 1, 2, 3, 4, 5]
    assert (callback.best, callback.best_epoch) == (0.8, 4)


def _weight_after(epoch: int) -> float:
    return float((epoch + 1) * STEPS)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 0.5, 0.6, 0.7, 0.1], 1),  # stopped after the fourth epoch, best in the second
        ([1.0, 0.5, 0.6, 0.4], 3),  # not stopped: the last weights stay
        ([1.0, 0.5, 0.4, 0.45], 3),
        ([float("nan")] * 4, 1),  # nothing to put back
    ],
)
def test_the_best_weights_are_put_back_after_a_stop(losses: list[float], expected: int, run: Any) -> None:
    assert run([EarlyStopping(patience=2, restore_best=True)], losses).weight == _weight_after(expected)
    assert run([EarlyStopping(patience=2)], [1.0, 0.5, 0.6, 0.7]).weight == _weight_after(3)


def test_a_phase_that_is_stopped_hands_on_its_best_weights(run: Any, make_model: Any) -> None:
    callback, model = EarlyStopping(patience=1, restore_best=True), make_model()
    with pytest.raises(Killed):  # the phase ends, the training does not
        run([callback], [1.0, 0.5, 0.6], model, watch=_kill_at(3 * (STEPS + 1)))
    assert model.stop_training
    callback.end_phase()
    assert float(model.network.weight[0, 0]) == _weight_after(1)
    callback.start_phase()
    callback.resume_phase()
    assert not model.stop_training
    model.network.weight.set_value(model.network.weight + 1)
    callback.end_phase()  # a phase that was not stopped keeps its weights
    assert float(model.network.weight[0, 0]) == _weight_after(1) + 1


def test_a_phase_that_was_stopped_is_not_gone_on_with(run: Any, make_model: Any) -> None:
    callback = EarlyStopping(patience=1)
    run([callback], [1.0, 1.1])
    resumed, model = EarlyStopping(patience=1), make_model()
    resumed.set_model(model)
    resumed.set_state_dict(callback.state_dict())
    resumed.on_train_begin()
    model.stop_training = False  # a phase begins
    resumed.resume_phase()
    assert model.stop_training


def _kill_at(position: int) -> Any:
    def watch(now: int, _: Any) -> None:
        if now == position:
            raise Killed

    return watch
