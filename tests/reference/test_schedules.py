"""Schedules beside the formulas of the papers and PyTorch's documentation, over all steps of a phase."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.config import TrainConfig
from toolkit.engine.learning.schedule import schedule_factor

STEPS, EPOCHS = 7, 6
TOTAL = STEPS * EPOCHS
STEP = np.arange(TOTAL)


def warmed(rates: np.ndarray, warmup: int) -> np.ndarray:
    return np.where(warmup > STEP, (STEP + 1) / (warmup + 1), rates)


@pytest.mark.parametrize("warmup", [0, 5, 14])
def test_over_a_phase(warmup: int) -> None:
    done = np.clip((STEP - warmup) / (TOTAL - warmup), 0, 1)
    drops = (TOTAL / 2 <= STEP).astype(int) + (0.75 * TOTAL <= STEP)
    wanted: list[tuple[dict[str, Any], np.ndarray]] = [
        ({"schedule": "cosine", "end_factor": 0.2}, 0.2 + 0.4 * (1 + np.cos(np.pi * done))),
        ({"schedule": "linear", "end_factor": 0.2}, 1 - 0.8 * done),
        ({"schedule": "polynomial", "polynomial_power": 3.0}, (1 - done) ** 3),
        ({"schedule": "step", "step_gamma": 0.3}, 0.3**drops),
        ({"schedule": "multistep", "step_gamma": 0.3}, 0.3**drops),
        ({"schedule": "step", "step_every": 2, "step_gamma": 0.5}, 0.5 ** (STEP // (2 * STEPS))),
        ({"schedule": "exponential", "exponential_gamma": 0.6}, 0.6 ** ((STEP - warmup) / STEPS)),
        ({"schedule": "constant"}, np.ones(TOTAL)),
    ]
    for settings, rates in wanted:
        train = TrainConfig(warmup_steps=warmup, **settings)
        found = [schedule_factor(train, step, STEPS, EPOCHS) for step in range(TOTAL)]
        np.testing.assert_allclose(found, warmed(rates, warmup), rtol=1e-9, atol=1e-12, err_msg=str(settings))


def test_one_cycle() -> None:
    """``initial_lr = max_lr / 25``, ``min_lr = initial_lr / 1e4``, both legs cosines."""
    peak = 0.25 * TOTAL
    rise = 1 / 25 + (1 - 1 / 25) * (1 - np.cos(np.pi * STEP / peak)) / 2
    fall = 4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * (STEP - peak) / (TOTAL - 1 - peak))) / 2
    train = TrainConfig(schedule="one_cycle", one_cycle_rise=0.25)
    found = [schedule_factor(train, step, STEPS, EPOCHS) for step in range(TOTAL)]
    np.testing.assert_allclose(found, np.where(peak > STEP, rise, fall), rtol=1e-9)
