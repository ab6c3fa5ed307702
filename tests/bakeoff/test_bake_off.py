"""The bake-off: order, interruptions, budgets and failures with simulated training, then real training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import toolkit.bakeoff.session
from toolkit.bakeoff import BakeOff, bake_off, comparison_table
from toolkit.bakeoff.runner import TrialRequest, TrialResult, train_quietly
from toolkit.config import Config, dump_config, load_config
from toolkit.core.errors import ConfigError, Interrupted, TrainingError
from toolkit.core.files import write_json, write_text
from toolkit.engine import RunFolder

Make = Callable[..., Config]
FOUR = ["linear_probe", "last_stages", "usual_recipe", "scratch"]


def pretend(request: TrialRequest, score: float = 0.9, epochs: int = 4) -> TrialResult:
    """Write the files of a finished training."""
    folder = RunFolder.create(request.config)
    lines = [{"epoch": i + 1, "val": {"top1": score * (i + 1) / epochs}, "seconds": 1.0} for i in range(epochs)]
    write_text(folder.metrics, "".join(json.dumps(line) + "\n" for line in lines))
    best = {"top1": score, "epoch": epochs}
    result = {"best": best, "seconds": 4.0, "parameters": {"total": 9, "trainable": 3, "frozen": 6}}
    folder.write_record({"finished": "now", "result": result, "plan": {"phases": [{"epochs": epochs}]}})
    write_json(folder.path / "trial.json", {"clock": [1.0, 2.0, 3.0, 4.0][:epochs], "memory": 7, "halted": None})
    return TrialResult("done")


class Stage:
    """Replaces training: records requests, and answers with ``act``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.requests: list[TrialRequest] = []
        self.act: Callable[[TrialRequest], TrialResult] = pretend
        monkeypatch.setattr(toolkit.bakeoff.session, "train_quietly", self.train)

    def train(self, request: TrialRequest) -> TrialResult:
        self.requests.append(request)
        return self.act(request)

    @property
    def names(self) -> list[str]:
        return [request.config.name for request in self.requests]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def run(config: Config, *arguments: Any, **options: Any) -> BakeOff:
    return bake_off(config, *(arguments or ([],)), **{"seeds": 2, "apart": False, **options})


def test_every_candidate_has_a_seed_before_any_has_two(make: Make, stage: Stage) -> None:
    found = run(make())
    assert stage.names == [f"{name}-seed{seed}" for seed in (0, 1) for name in FOUR]
    assert {(request.config.seed, request.config.data.split_seed) for request in stage.requests[4:]} == {(1, 1)}
    assert all(len(row.scores) == 2 for row in found.rows)
    written = json.loads((found.folder / "comparison.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["best"]["preset"] == found.winner.preset


def test_the_usual_recipe_is_never_stopped(make: Make, stage: Stage) -> None:
    run(make(train={"epochs": 20}), seeds=1)
    rungs = {request.config.name.removesuffix("-seed0"): len(request.rungs) for request in stage.requests}
    assert rungs == {"linear_probe": 0, "last_stages": 2, "usual_recipe": 0, "scratch": 2}
    stage.requests.clear()
    run(make(name="whole", train={"epochs": 20}), seeds=1, halving=False)  # --to-the-end
    assert {request.rungs for request in stage.requests} == {()}


def test_what_is_finished_is_not_trained_again(make: Make, stage: Stage) -> None:
    first = run(make())
    stage.requests.clear()
    again = run(make(), [], seeds=2)
    assert stage.requests == []
    assert [row.to_json() for row in again.rows] == [row.to_json() for row in first.rows]
    run(make(), ["all_stages"], seeds=3)
    assert sorted(stage.names) == sorted([f"{name}-seed2" for name in FOUR] + [f"all_stages-seed{i}" for i in range(3)])


def test_visualdl_logs_are_side_by_side(make: Make, stage: Stage) -> None:
    def recorded(request: TrialRequest) -> TrialResult:
        outcome = pretend(request)
        write_text(request.config.output_dir / request.config.name / "vdl" / "vdlrecords.run.log", request.config.name)
        return outcome

    stage.act = recorded
    found = run(make(), seeds=1)
    for name in FOUR:
        assert (found.folder / "vdl" / f"{name}-seed0" / "vdlrecords.run.log").read_text() == f"{name}-seed0"
        link = found.folder / "runs" / f"{name}-seed0" / "vdl"
        assert (link.is_symlink(), (link / "vdlrecords.run.log").read_text()) == (True, f"{name}-seed0")
    assert len(list(found.folder.rglob("vdlrecords.*"))) == 4
    run(make(), seeds=1)


def test_titles_contain_the_network(make: Make, stage: Stage, resnet_weights: Path) -> None:
    found = run(make(), [], seeds=1, networks=[f"resnet18={resnet_weights}"])
    assert {(row.title, row.preset, row.network) for row in found.rows} == {
        (f"resnet18: {name}", name, "resnet18") for name in FOUR
    }
    best = found.to_json()["best"]
    assert best["title"] == f"resnet18: {best['preset']}"


def test_the_request_is_recorded(make: Make, stage: Stage) -> None:
    found = run(make(), ["scratch"], seeds=1, networks=["squeezenet1_1"], budget=99.0, halving=False)
    written = json.loads((found.folder / "comparison.json").read_text(encoding="utf-8"))
    asked = {key: written[key] for key in ("presets", "networks", "budget", "to_the_end", "seeds")}
    assert asked == {
        "presets": ["scratch"], "networks": ["squeezenet1_1"], "budget": 99.0, "to_the_end": True, "seeds": 1,
    }  # fmt: skip
    assert run(make(), None).to_json()["presets"] is None
    assert run(load_config(found.folder / "config.yaml")).folder == found.folder


def test_another_config_is_another_comparison(make: Make, stage: Stage) -> None:
    first, second = run(make(), seeds=1), run(make(train={"epochs": 2}), seeds=1)
    assert (first.folder.name, second.folder.name) == ("job-compare", "job-compare-2")
    assert run(make(train={"epochs": 2}), seeds=1).folder == second.folder


def test_an_interruption_keeps_what_is_finished(make: Make, stage: Stage) -> None:
    def stop(request: TrialRequest) -> TrialResult:
        if request.config.name == "usual_recipe-seed0":
            raise Interrupted("SIGINT")
        return pretend(request)

    stage.act = stop
    with pytest.raises(Interrupted, match=r"2 of 8 runs.*same command"):
        run(make())
    stage.requests.clear()
    stage.act = pretend
    run(make())
    assert stage.names[:2] == ["usual_recipe-seed0", "scratch-seed0"]


def test_a_failure_affects_that_candidate_only(make: Make, stage: Stage) -> None:
    stage.act = lambda request: (
        TrialResult("failed", "NaN") if request.config.name.startswith("usual") else pretend(request)
    )
    found = run(make())
    assert [row.preset for row in found.rows].count("usual_recipe") == 0
    assert [(item.candidate, item.seed, item.why, item.words) for item in found.left_out] == [
        ("usual_recipe", 0, "failed", "NaN"), ("usual_recipe", 1, "failed", "another seed failed"),
    ]  # fmt: skip
    assert stage.names.count("usual_recipe-seed1") == 0


def test_only_failures_is_an_error(make: Make, stage: Stage) -> None:
    stage.act = lambda request: TrialResult("failed", "no memory")
    with pytest.raises(TrainingError, match="linear_probe: no memory"):
        run(make())


def test_what_does_not_fit_the_budget_is_left_out(make: Make, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(toolkit.bakeoff.session.time, "monotonic", lambda: clock[0])

    def takes_four_seconds(request: TrialRequest) -> TrialResult:
        clock[0] += 4.0
        return pretend(request)

    stage.act = takes_four_seconds
    found = run(make(), budget=21.0)
    assert stage.names == [f"{name}-seed0" for name in FOUR] + ["linear_probe-seed1"]
    assert [request.seconds for request in stage.requests] == [21.0, 17.0, 13.0, 9.0, 5.0]
    assert [(item.candidate, item.seed, item.why) for item in found.left_out] == [
        (name, 1, "budget") for name in FOUR[1:]
    ]
    assert "1 s were left" in found.left_out[0].words
    stage.requests.clear()
    clock[0] = 100.0  # another session: the time of the first one counts
    assert len(run(make(), budget=21.0).left_out) == 3
    assert stage.requests == []
    assert not run(make(), budget=100.0).left_out


def test_a_budget_drops_mandatory_candidates_last(
    make: Make, stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [0.0]
    monkeypatch.setattr(toolkit.bakeoff.session.time, "monotonic", lambda: clock[0])

    def takes_its_time(request: TrialRequest) -> TrialResult:
        clock[0] += 1.0 if request.config.name.startswith("linear_probe") else 10.0
        return pretend(request) if request.seconds is None or clock[0] <= 40.0 else TrialResult("paused")

    stage.act = takes_its_time
    found = run(make(), None, seeds=2, budget=40.0)
    assert stage.names[:4] == [f"{name}-seed0" for name in FOUR]
    assert {row.preset for row in found.rows} == set(FOUR)
    assert found.missing == []
    assert "every comparison needs" not in capsys.readouterr().err
    assert {item.candidate for item in found.left_out if not item.always} >= {"all_stages", "all_stages_bold"}

    clock[0] = 21.0  # another comparison, too short even for them
    stage.requests.clear()
    found = run(make(name="short"), None, seeds=2, budget=11.5)
    assert found.missing == ["usual_recipe", "scratch"] == found.to_json()["missing"]
    assert "not trained, although every comparison needs them: usual_recipe, scratch" in capsys.readouterr().err
    table = Console(width=200, file=io.StringIO())
    table.print(comparison_table(found.rows, found.missing))
    assert "usual_recipe (not trained)" in table.file.getvalue()  # type: ignore[attr-defined]


def test_the_budget_includes_more_than_epochs(make: Make, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, noted = [0.0], []
    monkeypatch.setattr(toolkit.bakeoff.session.time, "monotonic", lambda: clock[0])

    def takes_ten_seconds(request: TrialRequest) -> TrialResult:
        file = request.config.output_dir.parent / "sittings.json"
        noted.append(json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None)
        clock[0] += 10.0
        if len(stage.requests) == 3:
            raise Interrupted("SIGINT")
        return pretend(request)  # four seconds of epochs

    stage.act = takes_ten_seconds
    with pytest.raises(Interrupted):
        run(make(), seeds=1, budget=45.0)
    assert noted == [None, [10.0], [20.0]]
    clock[0] = 1000.0
    found = run(make(), seeds=1, budget=45.0)
    assert [request.seconds for request in stage.requests] == [45.0, 35.0, 25.0, 15.0, 5.0]
    assert noted[3:] == [[30.0], [30.0, 10.0]]
    assert found.seconds == 50.0


def test_a_budget_too_small_for_one_run_is_an_error(make: Make, stage: Stage) -> None:
    stage.act = lambda request: TrialResult("paused")
    with pytest.raises(TrainingError, match=r"budget of 3 s is too small for one run: linear_probe.*same command"):
        run(make(), budget=3.0)


@pytest.mark.parametrize("seeds", [0, -1])
def test_at_least_one_seed(make: Make, seeds: int) -> None:
    with pytest.raises(ConfigError, match="expected 1 or more"):
        run(make(), seeds=seeds)


def test_rungs_come_from_other_runs_with_the_same_seed(make: Make, stage: Stage) -> None:
    run(make(train={"epochs": 12}))
    assert stage.requests[0].rungs == stage.requests[2].rungs == ()
    assert stage.names[2] == "usual_recipe-seed0"
    assert [(rung.epoch, rung.leader, rung.value) for rung in stage.requests[3].rungs] == [
        (3, "linear_probe", 0.225), (6, "linear_probe", 0.45),
    ]  # fmt: skip
    assert stage.requests[4].rungs == ()
    stage.requests.clear()
    run(make(name="whole", train={"epochs": 12}), halving=False)
    assert not any(request.rungs for request in stage.requests)


def test_requests_survive_serialisation(make: Make, stage: Stage) -> None:
    run(make(train={"epochs": 12}), seeds=1)
    for request in stage.requests:
        again = TrialRequest.from_json(json.loads(json.dumps(request.to_json())))
        assert dump_config(again.config) == dump_config(request.config)
        assert again.rungs == request.rungs


def test_real_runs_are_paused_by_the_budget_and_continue(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make(train={"epochs": 4}, transfer={"preset": "all_stages"})
    seen: list[TrialResult] = []

    def hurried(request: TrialRequest) -> TrialResult:
        seen.append(train_quietly(TrialRequest(request.config, request.rungs, 0.0, False, request.resume)))
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(toolkit.bakeoff.session, "train_quietly", hurried)
        with pytest.raises(TrainingError, match="too small"):
            run(config, seeds=1, budget=1e6)
    assert {outcome.status for outcome in seen} == {"paused"}
    found = run(config, seeds=1, halving=False)
    assert {row.preset for row in found.rows} == {"all_stages", *FOUR} - {"last_stages"}
    for row in found.rows:
        (trial,) = row.trials
        assert [epoch for epoch, _, _ in trial.curve] == [1, 2, 3, 4]
        assert trial.folder.name == f"{row.preset}-seed0"
        assert (trial.memory, trial.exported) == (None, None)
        assert trial.curve[-1][1] == trial.seconds > 0
    assert found.best.folder == Path(found.to_json()["best"]["run_dir"])
