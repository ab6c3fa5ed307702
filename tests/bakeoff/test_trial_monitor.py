"""Rungs, margins and the callback that stops a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from toolkit.bakeoff.memory import peak_memory
from toolkit.bakeoff.runner import TrialRequest, train_here
from toolkit.bakeoff.trial import FACTS
from toolkit.bakeoff.trial_monitor import HalvingRung, TrialMonitor, least_value, rung_epoch
from toolkit.config import Config
from toolkit.engine import RunFolder
from toolkit.tasks import TASKS

TOP1, MAE = TASKS["classification"].main, TASKS["regression"].metric("mae")


@pytest.mark.parametrize(
    ("fraction", "planned", "epoch"),
    [(0.25, 40, 10), (0.5, 40, 20), (0.25, 30, 8), (0.25, 8, None), (0.25, 12, 3), (0.5, 4, None), (0.5, 1, None)],
)
def test_where_a_run_is_judged(fraction: float, planned: int, epoch: int | None) -> None:
    assert rung_epoch(fraction, planned) == epoch


def test_the_margin_is_wider_on_few_images() -> None:
    assert least_value(0.25, 0.9, 10000, TOP1) == pytest.approx(0.75)
    assert least_value(0.5, 0.9, 10000, TOP1) == pytest.approx(0.8)
    assert least_value(0.5, 0.9, 20, TOP1) == pytest.approx(0.9 - 2 * (2 * 0.9 * 0.1 / 20) ** 0.5)
    assert least_value(0.5, 2.0, 20, MAE) == pytest.approx(2.1)


def watched(values: list[float], rungs: list[HalvingRung]) -> tuple[TrialMonitor, SimpleNamespace]:
    monitor, model = TrialMonitor("val/top1", rungs), SimpleNamespace(stop_training=False)
    monitor.set_model(model)
    monitor.on_train_begin()
    for epoch, value in enumerate(values):
        if model.stop_training:
            break
        monitor.on_epoch_begin(epoch)
        monitor.on_eval_end({"top1": value})
    return monitor, model


def test_a_run_that_is_far_behind_is_stopped_there() -> None:
    monitor, model = watched(
        [0.3, 0.4, 0.5, 0.6], [HalvingRung(2, 0.7, "linear_probe", 0.8), HalvingRung(3, 0.1, "x", 0.2)]
    )
    assert model.stop_training
    assert monitor.halted == {"epoch": 2, "least": 0.7, "leader": "linear_probe", "value": 0.8, "reached": 0.4}
    assert len(monitor.clock) == 2


def test_a_run_that_has_been_good_once_goes_on() -> None:
    monitor, model = watched([0.75, 0.4, 0.5], [HalvingRung(2, 0.7, "linear_probe", 0.8)])
    assert (monitor.halted, model.stop_training, len(monitor.clock)) == (None, False, 3)


def test_later_phases_of_a_stopped_run_do_not_begin() -> None:
    monitor, model = watched([0.1, 0.1], [HalvingRung(2, 0.7, "linear_probe", 0.8)])
    model.stop_training = False
    monitor.start_phase()
    assert model.stop_training


def test_the_state_is_plain_and_the_clock_goes_on() -> None:
    monitor, _ = watched([0.75, 0.4], [])
    state = json.loads(json.dumps(monitor.state_dict()))
    state["clock"] = [100.0, 200.0]
    again = TrialMonitor("val/top1", [])
    again.set_model(SimpleNamespace(stop_training=False))
    again.set_state_dict(state)
    again.on_train_begin()
    again.on_epoch_begin(2)
    again.on_eval_end({"top1": 0.9})
    assert again.clock[:2] == [100.0, 200.0]
    assert 200.0 <= again.clock[2] < 260.0
    assert again.memory is not None
    assert again.memory >= state["memory"]


def test_memory_is_that_of_this_process() -> None:
    found = peak_memory()
    assert found is not None
    assert 5e7 < found < 5e10


def test_a_run_killed_before_its_facts_were_written_keeps_them(make: Callable[..., Config]) -> None:
    config = make(train={"epochs": 2})
    assert train_here(TrialRequest(config), apart=True).status == "done"
    folder = RunFolder(config.output_dir / config.name)
    facts = (folder.path / FACTS).read_bytes()
    assert json.loads(facts)["memory"] > 5e7
    (folder.path / FACTS).unlink()
    assert train_here(TrialRequest(config, resume=folder.path), apart=True).status == "done"
    assert (folder.path / FACTS).read_bytes() == facts
