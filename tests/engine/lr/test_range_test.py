"""The range test of a real job: it changes nothing, and its results are plausible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.config import Config
from toolkit.core.digest import fingerprint
from toolkit.core.errors import TrainingError
from toolkit.engine import build_job
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.job import Job
from toolkit.engine.lr.curve import rising_rates
from toolkit.engine.lr.range_test import range_test
from toolkit.engine.lr.trial import borrowed

TASKS: dict[str, dict[str, Any]] = {
    "classification": {},
    "regression": {"task": "regression", "data": {"classes": None, "samples_per_class": None, "val_fraction": 0.95}},
}


def state(job: Job) -> dict[str, str]:
    return fingerprint(job.network.state_dict())


@pytest.mark.parametrize("task", TASKS)
def test_head_and_backbone_of_every_task_are_tested_and_unchanged(make: Callable[..., Config], task: str) -> None:
    job = build_job(make(**TASKS[task], transfer={"preset": "all_stages"}))
    before, frozen = state(job), job.network.frozen
    found = range_test(job, 25, 20)
    assert state(job) == before
    assert job.network.frozen == frozen
    assert [curve.part for curve in found.curves] == ["head", "backbone"]
    head, backbone = found.curves
    assert np.isfinite([*head.smooth, *backbone.smooth]).all()
    assert head.rates[0] < head.suggestion < head.rates[-1]
    assert set(found.settings) == {"train.lr", "transfer.backbone_lr"}
    assert found.settings["train.lr"] == head.suggestion
    assert 0 < found.settings["transfer.backbone_lr"] <= 1
    assert found.to_json()["suggested"] == found.settings


def test_a_frozen_backbone_is_not_tested(make: Callable[..., Config]) -> None:
    found = range_test(build_job(make()), 25, 20)
    assert [curve.part for curve in found.curves] == ["head"]
    assert list(found.settings) == ["train.lr"]


def test_rates_rise_from_a_thousandth_of_the_plans_rate_to_a_thousand_times_it(
    make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def rising(lowest: float, highest: float, steps: int) -> Any:
        asked.append((lowest, highest))
        return rising_rates(lowest, highest, steps)

    monkeypatch.setattr("toolkit.engine.lr.range_test.rising_rates", rising)
    job = build_job(make())
    range_test(job, 25, 20)
    usual = job.plan.phases[0].lr
    assert asked == [(pytest.approx(usual / 1000), pytest.approx(usual * 1000))]


def test_a_network_from_random_weights_is_tested_as_a_whole(make: Callable[..., Config]) -> None:
    found = range_test(build_job(make(transfer={"preset": "scratch"})), 25, 20)
    assert [curve.part for curve in found.curves] == ["network"]


def test_a_seed_determines_the_result(make: Callable[..., Config]) -> None:
    first, second = (range_test(build_job(make()), 25, 20).to_json() for _ in range(2))
    assert first == second


def test_too_few_steps(make: Callable[..., Config]) -> None:
    with pytest.raises(TrainingError, match="5 steps is too short"):
        range_test(build_job(make()), 25, 5)


def test_weights_are_restored_after_an_error(make: Callable[..., Config]) -> None:
    job = build_job(make())
    before = state(job)
    with pytest.raises(RuntimeError, match="stop"), borrowed(job):
        for parameter in job.network.head_parameters().values():
            parameter.set_value(parameter + 1)
        raise RuntimeError("stop")
    assert state(job) == before


@pytest.mark.parametrize("cache", [True, False])
def test_batches_of_a_subset_keep_positions_in_the_whole_set(make: Callable[..., Config], cache: bool) -> None:
    job = build_job(make(cache={"enabled": cache}))
    job.network.freeze(len(job.stages))
    rows = np.array([1, 4, 5, 9, 10, 11, 3], np.int64)
    (phase,) = job.plan.phases
    for training in (True, False):
        batches = FeatureSource(job).for_rows(phase, rows, training=training)
        seen = list(batches)
        indices = np.concatenate([batch.indices for batch in seen])
        assert batches.start_stage == (len(job.stages) if cache else 0)
        assert sorted(indices) == sorted(rows)
        assert training or list(indices) == list(rows)
        np.testing.assert_array_equal(np.concatenate([batch.labels for batch in seen]), job.data.train.labels[indices])
