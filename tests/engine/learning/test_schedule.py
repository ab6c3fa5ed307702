"""The learning rate over time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import paddle
import pytest
from pydantic import ValidationError

from toolkit.callbacks import ReduceLROnPlateau
from toolkit.config import TrainConfig
from toolkit.engine.learning.schedule import LearningRate, scaled_rate, schedule_factor


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


def test_warm_up_by_steps_is_that_by_epochs() -> None:
    for schedule in ("cosine", "linear", "step", "exponential", "constant"):
        by_steps = factors(TrainConfig(schedule=schedule, warmup_steps=5))
        assert by_steps == factors(TrainConfig(schedule=schedule, warmup_epochs=0.5))
        assert by_steps[:5] == pytest.approx([n / 6 for n in range(1, 6)])
        assert by_steps[5] == 1


def test_a_warm_up_longer_than_the_phase_rises_to_its_end() -> None:
    rates = factors(TrainConfig(warmup_steps=1000))
    assert rates == pytest.approx([(step + 1) / 41 for step in range(40)])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"schedule": "linear"}, lambda done: 1 - done),
        ({"schedule": "linear", "end_factor": 0.25}, lambda done: 0.25 + 0.75 * (1 - done)),
        ({"schedule": "polynomial", "polynomial_power": 2}, lambda done: (1 - done) ** 2),
        ({"schedule": "polynomial", "polynomial_power": 1}, lambda done: 1 - done),
        ({"schedule": "exponential", "exponential_gamma": 0.5}, lambda done: 0.5 ** (4 * done)),
        ({"schedule": "cosine", "end_factor": 0.1}, lambda done: 0.1 + 0.9 * (1 + math.cos(math.pi * done)) / 2),
        ({"schedule": "constant"}, lambda done: 1.0),
        ({"schedule": "plateau"}, lambda done: 1.0),
    ],
)
def test_curves(wanted: dict[str, Any], expected: Callable[[float], float]) -> None:
    assert factors(TrainConfig(**wanted)) == pytest.approx([expected(step / 40) for step in range(40)])


@pytest.mark.parametrize(
    ("wanted", "drops"),
    [
        ({"schedule": "step", "step_every": 1}, [0, 1, 2, 3]),
        ({"schedule": "step", "step_every": 2}, [0, 0, 1, 1]),
        ({"schedule": "step", "step_epochs": (0.5, 0.75)}, [0, 0, 1, 2]),
        ({"schedule": "multistep", "step_epochs": (1, 3)}, [0, 1, 1, 2]),
        ({"schedule": "multistep", "step_epochs": (2, 100)}, [0, 0, 1, 1]),
        ({"schedule": "step", "step_every": 2, "warmup_steps": 0}, [0, 0, 1, 1]),
    ],
)
@pytest.mark.parametrize("steps", [1, 3, 10, 47])
def test_drops_come_with_the_first_step_of_an_epoch(wanted: dict[str, Any], drops: list[int], steps: int) -> None:
    rates = factors(TrainConfig(**wanted, step_gamma=0.5), steps)
    assert rates == [0.5 ** drops[step // steps] for step in range(4 * steps)]


@pytest.mark.parametrize("warmup", [{"warmup_epochs": 1}, {"warmup_steps": 3}, {"warmup_epochs": 1.9}])
@pytest.mark.parametrize("schedule", ["step", "multistep"])
def test_fractions_are_those_of_the_phase_whatever_the_warm_up(schedule: str, warmup: dict[str, Any]) -> None:
    """The same places, named in fractions or in epochs, with a warm-up and without."""
    rates = factors(TrainConfig(schedule=schedule, step_epochs=(0.5, 0.75), **warmup))
    assert rates == factors(TrainConfig(schedule=schedule, step_epochs=(2, 3), **warmup))
    assert rates[19:] == factors(TrainConfig(schedule=schedule, step_epochs=(0.5, 0.75)))[19:]


@pytest.mark.parametrize("rise", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("steps", [2, 3, 5, 10, 40])
def test_one_cycle_ends_near_zero_however_few_the_steps(steps: int, rise: float) -> None:
    rates = factors(TrainConfig(schedule="one_cycle", one_cycle_rise=rise), steps, epochs=1)
    assert rates[-1] == pytest.approx(1 / 250_000)
    assert max(rates) > 0.5
    top = rates.index(max(rates))
    assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)


def test_fractions_of_epochs_drop_as_paddles_own_schedulers_do() -> None:
    step, multistep, exponential, polynomial = (
        paddle.optimizer.lr.StepDecay(1.0, 7, 0.1),
        paddle.optimizer.lr.MultiStepDecay(1.0, [5, 15], 0.1),
        paddle.optimizer.lr.ExponentialDecay(1.0, 0.9),
        paddle.optimizer.lr.PolynomialDecay(1.0, 40, end_lr=0.1, power=3.0),
    )
    wanted = (
        (step, {"schedule": "step", "step_every": 0.7}),
        (multistep, {"schedule": "multistep", "step_epochs": (0.125, 0.375)}),
        (exponential, {"schedule": "exponential", "exponential_gamma": 0.9**10}),
        (polynomial, {"schedule": "polynomial", "polynomial_power": 3.0, "end_factor": 0.1}),
    )
    for theirs, settings in wanted:
        expected = []
        for _ in range(40):
            expected.append(theirs())
            theirs.step()
        assert factors(TrainConfig(**settings)) == pytest.approx(expected), settings


def test_one_cycle_rises_and_falls() -> None:
    rates = factors(TrainConfig(schedule="one_cycle", one_cycle_rise=0.25), steps=100)
    assert rates[0] == pytest.approx(1 / 25)
    assert rates[100] == 1
    assert rates[:101] == sorted(rates[:101])
    assert rates[100:] == sorted(rates[100:], reverse=True)
    assert 0 < rates[-1] < 1e-4


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"warmup_steps": 5, "warmup_epochs": 1}, "use only one of them"),
        ({"schedule": "one_cycle", "warmup_steps": 5}, "has its own rise"),
        ({"schedule": "multistep", "step_every": 1}, "step_every belongs to schedule: step"),
        ({"step_epochs": (0.5, 3)}, "either fractions of the phase"),
        ({"step_epochs": (0.5, 0.5)}, "must increase"),
        ({"step_epochs": (9, 3)}, "must increase"),
    ],
)
def test_settings_that_contradict_each_other(wanted: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        TrainConfig(**wanted)


SCHEDULES = get_args(TrainConfig.model_fields["schedule"].annotation)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("epochs", [1, 2, 7])
def test_every_schedule_stays_between_zero_and_one(schedule: str, epochs: int) -> None:
    for steps in (1, 3):
        rates = factors(TrainConfig(schedule=schedule), steps, epochs)
        assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_plateau_reduces_on_top_of_every_schedule_and_of_every_share(schedule: str) -> None:
    """``ReduceLROnPlateau`` halves the rate after the second epoch, down to its minimum; shares stay shares."""
    head, stage = (paddle.create_parameter([1], "float32") for _ in range(2))
    stage.optimize_attr["learning_rate"] = 0.1
    optimizer = paddle.optimizer.SGD(learning_rate=0.4, parameters=[head, stage])
    model = paddle.Model(paddle.nn.Linear(1, 1))
    model._optimizer, train = optimizer, TrainConfig(schedule=schedule)
    rate = LearningRate(optimizer, train, 0.4, 5, 6)
    plateau = ReduceLROnPlateau(factor=0.5, patience=1, min_lr=1e-3)
    plateau.set_model(model)
    plateau.on_train_begin()
    scale = 1.0
    for epoch, loss in enumerate([1.0, 1.1, 0.9, 0.95, 0.8, 0.7]):
        plateau.on_epoch_begin(epoch)
        for step in range(5):
            rate.before_step(epoch * 5 + step)
            wanted = 0.4 * schedule_factor(train, epoch * 5 + step, 5, 6) * scale
            assert rate.value == pytest.approx(wanted)
            before = head.item(), stage.item()
            (head + stage).sum().backward()
            optimizer.step()
            optimizer.clear_grad()
            moved = before[0] - head.item(), before[1] - stage.item()
            assert moved == (pytest.approx(wanted, abs=1e-6), pytest.approx(wanted * 0.1, abs=1e-6))
        at_the_end = rate.value
        plateau.on_eval_end({"loss": loss})
        if loss in (1.1, 0.95):
            scale *= max(at_the_end * 0.5, min(1e-3, at_the_end)) / at_the_end
        rate.note_changes()
        assert rate.scale == pytest.approx(scale)


@pytest.mark.parametrize(("wanted", "expected"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_for_several_processes(wanted: Any, expected: float) -> None:
    assert scaled_rate(0.1, TrainConfig(), 4) == 0.1
    assert scaled_rate(0.1, TrainConfig(scale_lr=wanted), 4) == pytest.approx(expected)
    assert scaled_rate(0.1, TrainConfig(scale_lr=wanted), 1) == 0.1
