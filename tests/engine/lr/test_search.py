"""``train.lr: auto`` is decided on training images, recorded, and gives the run that the number itself gives."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolkit.config import Config, load_config
from toolkit.core.digest import fingerprint
from toolkit.engine import Trainer, build_job
from toolkit.engine.lr import search as module
from toolkit.engine.lr.search import RateTrial, find_rates, settle_rates

AUTO = {"lr": "auto", "epochs": 2, "device": "cpu"}
MORE = {"samples_per_class": 20}


def weights(trainer: Trainer) -> dict[str, str]:
    return fingerprint(trainer.job.network.state_dict())


def test_the_run_is_that_of_the_rate_found(make: Callable[..., Config]) -> None:
    auto = Trainer.from_config(make(train=AUTO, data=MORE))
    result = auto.fit()
    record = json.loads(result.folder.record.read_text())
    found = record["lr_search"]
    assert len(found["trials"]) in (3, 4)
    assert {round(trial["factor"], 3) for trial in found["trials"]} >= {0.333, 1.0, 3.0}
    assert (module._HEAD_STEPS, module._TUNING_STEPS) == (200, 40)  # as documented
    (phase,) = auto.job.plan.phases
    assert record["plan"]["phases"][0]["lr"] == phase.lr == pytest.approx(found["lr"], rel=1e-2)
    given = Trainer.from_config(make(train={**AUTO, "lr": phase.lr}, data=MORE))
    assert given.fit().best == result.best
    assert weights(given) == weights(auto)


def test_validation_images_are_not_used(make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    job = build_job(make(train=AUTO, data=MORE))
    fit, held = module._split(job)
    assert not set(fit) & set(held)
    assert sorted([*fit, *held]) == list(range(len(job.data.train)))
    labels = job.data.train.labels
    assert {label: int((labels[held] == label).sum()) for label in np.unique(labels)} == {0: 4, 1: 4, 2: 4}
    before = fingerprint(job.network.state_dict())
    monkeypatch.setattr(type(job.data.val), "read", _only_from(job.data.train))
    found = find_rates(job)
    assert (found.trained, found.held_out) == (48, 12)
    assert fingerprint(job.network.state_dict()) == before


def _only_from(images: object) -> Callable[..., object]:
    original = type(images).read

    def read(self: object, index: int) -> object:
        assert self is images, "another set was read"
        return original(self, index)  # type: ignore[arg-type]

    return read


def test_the_lowest_loss_wins_if_it_is_significantly_lower(make: Callable[..., Config]) -> None:
    found = find_rates(build_job(make(train=AUTO, data=MORE)))
    own = next(trial for trial in found.trials if trial.factor == 1)
    assert (own.gain, own.gain_error) == (0, 0)
    sure = [own, *(trial for trial in found.trials if trial.gain > 2 * trial.gain_error)]
    assert found.factor == min(sure, key=lambda trial: trial.loss).factor
    for trial in found.trials:
        assert own.loss - trial.loss == pytest.approx(trial.gain, abs=1e-4)
    assert [trial.factor for trial in found.trials] == sorted(trial.factor for trial in found.trials)


def test_a_small_lead_keeps_the_plans_rate() -> None:
    own, other = RateTrial(0.1, 1.0, 0.5, 0.9), RateTrial(0.3, 3.0, 0.4, 0.9, gain=0.1, gain_error=0.06)
    assert module._best([own, other]) == own
    assert module._best([own, replace(other, gain_error=0.04)]).factor == 3
    diverged = replace(own, loss=math.inf, gain=-math.inf)
    assert module._best([diverged, replace(other, gain=math.inf, gain_error=0)]).factor == 3


def test_a_resumed_run_keeps_its_rate(make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(train={**AUTO, "epochs": 1}, data=MORE)
    result = Trainer.from_config(config).fit()
    first = json.loads(result.folder.record.read_text())["lr_search"]
    monkeypatch.setattr(module, "find_rates", _never)
    longer = load_config(result.folder.config, ["train.epochs=2"])
    again = Trainer.from_config(longer).fit(resume=result.folder.path)
    assert again.last["epoch"] == 2
    assert json.loads(result.folder.record.read_text())["lr_search"] == first


def _never(*_: object) -> None:
    raise AssertionError("a second search")


def test_too_few_images_keep_the_presets_rate(make: Callable[..., Config]) -> None:
    job = build_job(make(train=AUTO))
    settled = settle_rates(job, None)
    assert settled.plan.phases[0].lr == job.plan.phases[0].lr
    assert settled.lr_search is not None
    assert settled.lr_search["trials"] == ()


def test_a_number_is_kept(make: Callable[..., Config]) -> None:
    job = build_job(make(train={"lr": 0.1}))
    assert settle_rates(job, None) is job


def test_no_search_for_a_run_that_does_not_exist(make: Callable[..., Config], tmp_path: Path) -> None:
    job = build_job(make(train=AUTO, data=MORE))
    assert settle_rates(job, tmp_path / "nowhere") is job


def test_a_plan_that_trains_its_head_first(make: Callable[..., Config]) -> None:
    transfer = {"preset": "custom", "freeze": 7, "head_first": 1}
    job = settle_rates(build_job(make(train=AUTO, data=MORE, transfer=transfer)), None)
    head, tuned = job.plan.phases
    usual = build_job(make(data=MORE, transfer=transfer)).plan.phases
    assert head.lr == usual[0].lr
    assert job.lr_search is not None
    assert tuned.lr == pytest.approx(usual[1].lr * job.lr_search["factor"])
    assert len(job.lr_search["trials"]) == 3
