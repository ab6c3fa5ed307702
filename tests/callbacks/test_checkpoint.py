"""Checkpoint says when to save."""

from __future__ import annotations

import math
from typing import Any

from toolkit.callbacks import Checkpoint


def _script(*values: float) -> list[dict[str, float]]:
    return [{"loss": 1.0, "top1": value} for value in values]


def test_it_saves_only_when_better(run: Any) -> None:
    saved: list[int] = []
    callback = Checkpoint(lambda: saved.append(callback.epoch))
    run([callback], _script(0.5, 0.4, 0.5, 0.6))
    assert saved == [0, 3]
    assert (callback.best, callback.best_epoch) == (0.6, 3)


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
