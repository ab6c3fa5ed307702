"""ReduceLROnPlateau on scripted losses."""

from __future__ import annotations

from typing import Any

import paddle
import pytest
from paddle.callbacks import ReduceLROnPlateau as PaddleReduceLROnPlateau

from toolkit.callbacks import ReduceLROnPlateau
from toolkit.core.errors import ConfigError

LOSSES = [1.0, 0.9, 0.92, 0.91, 0.905, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86, 0.7, 0.71, 0.72]


@pytest.mark.parametrize(
    ("settings", "losses", "rates"),
    [
        ({"patience": 1, "factor": 0.5}, [1.0, 0.9, 0.95, 0.8], [1.0, 1.0, 0.5, 0.5]),
        ({"patience": 0, "factor": 0.5}, [1.0, 0.9, 0.95, 0.8], [1.0, 1.0, 0.5, 0.5]),
        ({"patience": 2, "factor": 0.5}, [1.0, 1.1, 1.2, 1.3, 1.4], [1.0, 1.0, 0.5, 0.5, 0.25]),
        ({"patience": 1, "factor": 0.1, "min_lr": 0.05}, [1.0, 1.1, 1.2, 1.3], [1.0, 0.1, 0.05, 0.05]),
        ({"patience": 1, "factor": 0.5, "cooldown": 2}, [1.0] * 7, [1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
        ({"patience": 1, "factor": 0.5}, [float("nan")] * 3, [0.5, 0.25, 0.125]),
    ],
)
def test_rates(settings: dict[str, Any], losses: list[float], rates: list[float], run: Any) -> None:
    assert run([ReduceLROnPlateau(**settings)], losses).rates == pytest.approx(rates)


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 3])
def test_as_paddle_does(patience: int, cooldown: int, run: Any) -> None:
    settings = {"patience": patience, "cooldown": cooldown, "factor": 0.5, "min_delta": 0.0, "min_lr": 0.1}
    theirs = PaddleReduceLROnPlateau("loss", mode="min", verbose=0, **settings)
    ours = run([ReduceLROnPlateau(**settings)], LOSSES)
    assert ours.rates == pytest.approx(run([theirs], LOSSES).rates)
    assert ours.rates[-1] < 1.0


def test_a_rate_below_the_minimum_is_never_raised(run: Any, make_model: Any) -> None:
    assert run([ReduceLROnPlateau(patience=1, min_lr=0.1)], [1.0, 1.0, 1.0], make_model(0.01)).rates == [0.01] * 3


def test_layers_keep_their_share_of_the_rate(run: Any, make_model: Any) -> None:
    model = make_model()
    weight = model.network.weight
    weight.optimize_attr["learning_rate"] = 0.5

    def update() -> float:
        before = weight.numpy().copy()
        weight.sum().backward()
        model._optimizer.step()
        model._optimizer.clear_grad()
        return float((before - weight.numpy()).mean())

    assert update() == pytest.approx(0.5, rel=1e-4)
    run([ReduceLROnPlateau(patience=1, factor=0.2)], [1.0, 1.0], model)
    assert update() == pytest.approx(0.1, rel=1e-4)


def test_a_new_phase_has_its_own_patience(run: Any) -> None:
    callback = ReduceLROnPlateau(patience=3, cooldown=4)
    run([callback], [1.0, 1.0, 1.0])
    assert callback.wait == 2
    callback.start_phase()
    assert (callback.wait, callback.cooldown_left, callback.best) == (0, 0, 1.0)


@pytest.mark.parametrize("factor", [0.0, 1.0, 2.0, -0.5])
def test_a_factor_that_does_not_reduce(factor: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        ReduceLROnPlateau(factor=factor)


def test_a_scheduler_is_refused_in_words(run: Any, make_model: Any) -> None:
    model = make_model(paddle.optimizer.lr.CosineAnnealingDecay(0.1, T_max=5))
    with pytest.raises(ConfigError, match="learning rate is a scheduler"):
        run([ReduceLROnPlateau(patience=1)], [1.0, 1.0], model)
