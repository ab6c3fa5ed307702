"""Checkpoint says when to save."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from toolkit.callbacks import Checkpoint


def _script(*values: float) -> list[dict[str, float]]:
    return [{"loss": 1.0, "top1": value} for value in values]


def test_it_saves_only_when_better(run: Any) -> None:
    saved: list[int] = []
    callback = Checkpoint(lambda: saved.append(callback.epoch))
    run([callback], _script(0.5, 0.4, 0.5, 0.6))
    assert saved == [0, 3]
    assert (callback.best, callback.best_epoch) == (0.6, 3)


def test_it_says_beforehand_what_will_be_best() -> None:
    saved: list[int] = []
    callback = Checkpoint(lambda: saved.append(callback.epoch), preliminary=(0,), error=lambda: 0.02)
    assert not callback.would_be_best({"top1": 1.0, "loss": 0.1})  # no training
    callback.set_params({})
    callback.on_train_begin()
    lines = [
        (0, 0.5, 1.0),
        (0, 0.5, 0.9),
        (0, 0.5, 0.9),
        (0, math.nan, 0.1),
        (1, 0.49, 2.0),
        (1, 0.48, 0.1),
        (1, 0.6, 1),
    ]
    foreseen = []
    for epoch, (phase, top1, loss) in enumerate(lines):
        callback.place_phase(phase, 0, 0)
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"loss": 9.0})
        logs = {"top1": top1, "loss": loss}
        before = callback.state_dict()
        foreseen += [epoch] if callback.would_be_best(logs) else []
        assert callback.state_dict() == before
        callback.on_eval_end(logs)
    assert foreseen == saved == [0, 1, 4, 6]


def test_the_best_is_known_while_it_is_saved(run: Any) -> None:
    seen: list[tuple[float | None, int | None]] = []
    callback = Checkpoint(lambda: seen.append((callback.best, callback.best_epoch)))
    run([callback], _script(0.5, 0.4, 0.7))
    assert seen == [(0.5, 0), (0.7, 2)]


def test_nan_is_no_best_epoch(run: Any) -> None:
    saved: list[int] = []
    callback = Checkpoint(lambda: saved.append(callback.epoch))
    run([callback], _script(math.nan, 0.4, math.nan))
    assert saved == [1]


def _best(callback: Checkpoint, phases: list[list[tuple[float, float]]]) -> int | None:
    """The best epoch, from 1, of phases of ``(top1, loss)``."""
    callback.set_params({})
    callback.on_train_begin()
    epoch = 0
    for number, lines in enumerate(phases):
        callback.place_phase(number, 0, 0)
        for top1, loss in lines:
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, {"loss": 9.0, "top1": 0.9 - 0.1 * number})
            callback.on_eval_end({"top1": top1, "loss": loss})
            epoch += 1
    return None if callback.best_epoch is None else callback.best_epoch + 1


@pytest.mark.parametrize(
    ("settings", "lines", "best"),
    [
        ({}, [(0.9, 0.118), (0.8, 0.001), (0.9, 0.003), (0.9, 0.003), (0.9, 0.2)], 3),  # equal losses: the earlier one
        ({"min_delta": 0.02}, [(0.90, 0.3), (0.91, 0.4), (0.91, 0.2), (0.905, 0.1)], 3),  # never down in small steps
        ({}, [(0.9, math.nan), (0.9, 0.5), (0.9, math.nan)], 2),
        ({"monitor": "val/loss"}, [(0.1, 0.5), (0.9, 0.5), (0.2, 0.4)], 3),
        ({"monitor": "top1", "mode": "min"}, [(0.2, 0.5), (0.2, 0.4), (0.3, 0.1)], 2),
    ],
)
def test_ties_are_broken_by_the_validation_loss(settings: dict[str, Any], lines: list[Any], best: int) -> None:
    assert _best(Checkpoint(lambda: None, **settings), [lines]) == best


HEAD = [(0.90, 0.2), (0.95, 0.1)]


@pytest.mark.parametrize(
    ("error", "main", "best"),
    [
        (0.02, [(0.93, 0.5), (0.91, 0.1), (0.94, 0.4)], 5),  # within sqrt(2) * 0.02: the plan's epochs compete alone
        (0.02, [(0.92, 0.1), (0.90, 0.1)], 2),  # surely worse
        (0.02, [(0.90, 0.1), (0.93, 0.9), (0.93, 0.8)], 5),
        (0.0, [(0.95, 0.9)], 3),
        (None, [(0.10, 0.9)], 3),
        (0.02, [], 2),  # stopped before the main phase began
        (0.02, [(math.nan, 0.9), (math.inf, 0.9)], 2),
    ],
)
def test_head_first_epochs_stay_only_when_better_by_more_than_chance(
    error: float | None, main: list[tuple[float, float]], best: int
) -> None:
    saved: list[int] = []
    callback = Checkpoint(lambda: saved.append(callback.epoch + 1), preliminary=(0,), error=lambda: error)
    assert _best(callback, [HEAD, main]) == best
    assert saved[-1] == best
    assert callback.best_is_preliminary == (best <= 2)
    again = Checkpoint(lambda: None, preliminary=(0,), error=lambda: error)
    again.set_state_dict(json.loads(json.dumps(callback.state_dict())))
    assert again.state_dict() == callback.state_dict()


def test_a_training_metric_of_head_first_epochs_does_not_hold_against_later_ones() -> None:
    callback = Checkpoint(lambda: None, "train/top1", preliminary=(0,))
    assert _best(callback, [HEAD, [(0.5, 1.0)]]) == 3


def test_the_state_of_an_earlier_version_goes_on() -> None:
    callback = Checkpoint(lambda: None, preliminary=(0,), error=lambda: 0.01)
    callback.set_state_dict({"best": 0.9, "best_epoch": 4})
    assert _best(callback, [[(0.9, 0.1)]]) == 5
    assert callback.equals() == []
    assert _best(callback, [[(0.95, 0.1), (0.945, 0.1), (0.8, 0.1)]]) == 1
    assert callback.equals() == [0, 1]
