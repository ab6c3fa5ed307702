"""Averages of what several views say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from toolkit.config import Config
from toolkit.engine import build_job, evaluate_job
from toolkit.engine.learning.tta import mean_outputs
from toolkit.tasks import sigmoid, softmax

RNG = np.random.default_rng(0)
VIEWS = [RNG.normal(0, 3, (6, 4)).astype(np.float32) for _ in range(3)]


@pytest.mark.parametrize(("activation", "activate"), [("softmax", softmax), ("sigmoid", sigmoid), ("none", np.asarray)])
def test_the_activation_of_the_mean_is_the_mean_of_the_activations(activation, activate) -> None:
    found = activate(mean_outputs(VIEWS, activation).astype(np.float64))
    np.testing.assert_allclose(found, np.mean([activate(view) for view in VIEWS], axis=0), rtol=1e-4, atol=1e-6)


def test_certainty_gives_no_infinity() -> None:
    sure = [np.array([[900.0, -900.0]], np.float32)] * 2
    for activation in ("softmax", "sigmoid"):
        assert np.isfinite(mean_outputs(sure, activation)).all()


def test_one_view_is_left_as_it_is() -> None:
    assert mean_outputs(VIEWS[:1], "softmax") is VIEWS[0]


def test_evaluation_over_views(make: Callable[..., Config]) -> None:
    job = build_job(make(data={"cache_images": "memory"}))
    one, five = evaluate_job(job), evaluate_job(job, 5)
    assert "views" not in one
    assert five["views"] == 5
    assert five["loss"] != one["loss"]
    assert evaluate_job(job) == one
