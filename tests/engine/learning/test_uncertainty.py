"""The certainty of the best epoch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.engine.run_helpers import lines_of
from toolkit.callbacks import Checkpoint
from toolkit.config import Config
from toolkit.engine import Trainer, build_job
from toolkit.engine.learning.objective import make_objective
from toolkit.engine.learning.uncertainty import certainty_of, preliminary_phases, standard_error

Make = Callable[..., Config]
TWO_PHASES = {"preset": "all_stages", "head_first": 3}


def test_the_error_of_a_share_and_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(15, 3)), np.arange(15) % 3
    objective = make_objective("classification")
    losses = [objective.metrics(logits[[i]], labels[[i]])["loss"] for i in range(15)]
    assert standard_error(objective, logits, labels, "loss") == pytest.approx(np.std(losses, ddof=1) / 15**0.5)
    right = np.eye(3)[np.arange(153) % 3]
    wrong = np.where(np.arange(153) < 11, (np.arange(153) + 1) % 3, np.arange(153) % 3)
    assert standard_error(objective, right, wrong, "top1") == pytest.approx(0.021, abs=5e-4)
    assert 0.003 < standard_error(objective, right, np.arange(153) % 3, "top1") < 0.006  # 100 % is not certain
    assert standard_error(objective, logits[:1], labels[:1], "loss") == math.inf


@pytest.mark.parametrize(
    ("task", "name"), [("multilabel", "map"), ("regression", "r2"), ("classification", "macro_f1")]
)
def test_the_error_of_other_metrics_is_that_of_other_images(task: Any, name: str) -> None:
    """Against the spread of the metric over independently drawn samples."""
    rng = np.random.default_rng(1)
    objective = make_objective(task, scale=np.ones(3)) if task == "regression" else make_objective(task)

    def sample() -> tuple[np.ndarray, np.ndarray]:
        truth = rng.normal(size=(200, 3))
        labels = {"multilabel": truth > 0.5, "regression": truth, "classification": truth.argmax(axis=1)}[task]
        return truth + rng.normal(size=truth.shape), labels

    samples = [sample() for _ in range(60)]
    spread = float(np.std([objective.metrics(*one)[name] for one in samples], ddof=1))
    errors = [standard_error(objective, *one, name) for one in samples[:15]]
    assert 0.7 * spread < float(np.mean(errors)) < 1.4 * spread


@pytest.mark.parametrize(
    ("transfer", "preliminary"),
    [
        ({"preset": "linear_probe"}, ()),
        ({"preset": "all_stages", "head_first": 0}, ()),
        (TWO_PHASES, (0,)),
        ({"preset": "all_stages", "gradual_unfreezing": True, "head_first": 2}, (0,)),
        ({"preset": "custom", "phases": [{"epochs": 1, "freeze": "all"}] * 2 + [{"epochs": 1}]}, (0, 1)),
        ({"preset": "custom", "phases": [{"epochs": 1}, {"epochs": 1, "freeze": "all"}]}, ()),
    ],
)
def test_phases_before_the_first_stage_moves(make: Make, transfer: dict, preliminary: tuple[int, ...]) -> None:
    plan = build_job(make(transfer=transfer, train={"epochs": None if "phases" in transfer else 6})).plan
    assert preliminary_phases(plan) == preliminary


def test_words(make: Make) -> None:
    plan = build_job(make(transfer=TWO_PHASES)).plan
    callback = Checkpoint(lambda: None)
    assert certainty_of(callback, plan, 153, 9) is None
    state = {"best": 0.93, "best_epoch": 10, "best_loss": 0.1, "best_error": 0.021, "best_is_preliminary": False}
    contenders = [[epoch, 0.9 if epoch < 6 else 0.92, False] for epoch in range(20)]
    contenders[10][1], contenders[16][1] = 0.93, 0.8
    callback.set_state_dict({**state, "contenders": contenders})
    found = certainty_of(callback, plan, 153, 20)
    assert found is not None
    assert found["words"] == "epoch 11; epochs 7-16, 18-20 are within the error of 153 images (± 2.1 points)"
    assert certainty_of(callback, plan, 153, 1) is None
    alone = [[10, 0.93, True]]
    callback.set_state_dict({**state, "best_is_preliminary": True, "contenders": alone})
    assert "training ended before the plan's stages moved" in certainty_of(callback, plan, 153, 11)["words"]
    callback.set_state_dict({**state, "best_is_preliminary": True, "contenders": [*alone, [11, 0.6, False]]})
    words = certainty_of(callback, plan, 153, 12)["words"]
    assert "no other epoch is within" in words
    assert "no epoch in which the plan's stages moved came near it" in words


def test_the_run_keeps_an_epoch_of_the_plan_and_says_how_sure_it_is(make: Make) -> None:
    """With a handful of validation images every epoch is within chance of every other one."""
    result = Trainer.from_config(make(transfer=TWO_PHASES, train={"epochs": 2}, data={"val_fraction": 0.02})).fit()
    assert [line["phase"] for line in lines_of(result.folder)] == ["head"] * 3 + ["fine-tune"] * 2
    assert result.best["epoch"] > 3
    recorded = result.folder.read_record()["result"]["certainty"]
    assert json.loads(json.dumps(result.certainty)) == recorded
    assert set(recorded["epochs"]) <= {4, 5}
    assert result.best["epoch"] in recorded["epochs"]
