"""The learning rate over time."""

from __future__ import annotations

import paddle
import pytest

from toolkit.config import TrainConfig
from toolkit.engine.schedule import LearningRate, schedule_factor


def factors(train: TrainConfig, steps: int = 10, epochs: int = 4) -> list[float]:
    return [schedule_factor(train, step, steps, epochs) for step in range(steps * epochs)]


def test_cosine_starts_at_one_halves_in_the_middle_and_ends_near_zero() -> None:
    rates = factors(TrainConfig())
    assert rates[0] == 1
    assert rates[20] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert rates == sorted(rates, reverse=True)


def test_warm_up_rises_linearly_to_one_and_is_never_zero() -> None:
    rates = factors(TrainConfig(schedule="constant", warmup_epochs=0.5))
    assert rates[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert set(rates[5:]) == {1}


def test_step_drops_where_it_is_told() -> None:
    rates = factors(TrainConfig(schedule="step", step_epochs=(0.5, 0.75), step_gamma=0.1))
    assert rates[19] == 1
    assert rates[20] == pytest.approx(0.1)
    assert rates[30] == pytest.approx(0.01)


def test_what_a_callback_does_to_the_rate_stays_on_top_of_the_schedule() -> None:
    weight = paddle.create_parameter([1], "float32")
    optimizer = paddle.optimizer.SGD(learning_rate=0.4, parameters=[weight])
    rate = LearningRate(optimizer, TrainConfig(), 0.4, 10, 4)
    rate.before_step(0)
    assert rate.value == pytest.approx(0.4)
    optimizer.set_lr(rate.value * 0.25)
    rate.before_step(20)
    assert rate.scale == pytest.approx(0.25)
    assert rate.value == pytest.approx(0.4 * 0.5 * 0.25)
    rate.before_step(21)
    assert rate.scale == pytest.approx(0.25)
