"""Runs of the time when presets had the names of the matrix's cells."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.engine.runs.test_resume import Stops, assert_same
from toolkit.bakeoff import bake_off
from toolkit.commands import cli
from toolkit.config import Config, load_config
from toolkit.core.errors import Interrupted
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.explain.lineage import lineage

Make = Callable[..., Config]


def aged(folder: RunFolder, preset: str, variant: str | None = None) -> None:
    """Give a run's preset the name that it had earlier, in all its files."""
    text = folder.config.read_text(encoding="utf-8")
    lines = f"  preset: {preset}\n  variant: {json.dumps(variant)}\n"
    text, count = re.subn(r"  preset: \w+\n", lines, text)
    assert count == 1
    folder.config.write_text(text, encoding="utf-8")
    record = folder.read_record()
    folder.write_record({**record, "plan": {**record["plan"], "preset": preset, "variant": variant}})


def call(name: str, *words: object) -> None:
    """Run a command; exits if it fails."""
    cli.main(name, [str(word) for word in words])


@pytest.mark.parametrize(
    ("preset", "earlier", "variant"),
    [("all_stages", "finetune", None), ("most_stages", "small_different", "finetune_most")],
)
def test_they_are_resumed(make: Make, preset: str, earlier: str, variant: str | None) -> None:
    wanted: dict[str, Any] = {"transfer": {"preset": preset}}
    whole = Trainer.from_config(make(name="whole", **wanted)).fit()
    job = build_job(make(**wanted))
    with pytest.raises(Interrupted):
        Trainer(job, [Stops(3)]).fit()
    folder = RunFolder(job.config.output_dir / job.config.name)
    aged(folder, earlier, variant)
    resumed = Trainer.from_config(load_config(folder.config)).fit(folder.path)
    assert resumed.folder.path == folder.path
    assert_same(whole, resumed)
    assert folder.read_record()["plan"]["preset"] == preset


def test_they_are_evaluated_exported_reported_and_compared(make: Make) -> None:
    folder = Trainer.from_config(make()).fit().folder
    aged(folder, "small_similar")
    before = folder.config.read_text(encoding="utf-8")
    for name in ("eval", "export", "report"):
        call(name, folder.path)
    assert "linear_probe: freeze the backbone" in folder.report.read_text(encoding="utf-8")
    assert "small_similar" not in folder.report.read_text(encoding="utf-8")
    assert folder.config.read_text(encoding="utf-8") == before
    source = make(name="next", model={"pretrained": str(folder.best)})
    found = Trainer.from_config(source).fit().folder.read_record()
    assert [each.preset for each in lineage(found)] == ["linear_probe"]
    old = {"ancestry": [{"name": "a", "preset": "large_different"}]}
    assert [each.preset for each in lineage(old)] == ["all_stages_bold"]
    rows = bake_off(load_config(folder.config), ["small_different"], 1, apart=False, halving=False).rows
    assert {row.preset for row in rows} == {"linear_probe", "shallow_probe", "usual_recipe", "scratch"}


def test_a_bake_off_keeps_the_runs_it_has(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make()
    first = bake_off(config, ["most_stages"], 1, apart=False, halving=False)
    (run,) = (row.trials[0].folder for row in first.rows if row.preset == "most_stages")
    earlier = run.with_name("small_different-finetune_most-seed0")
    run.rename(earlier)
    folder = RunFolder(earlier)
    text = folder.config.read_text(encoding="utf-8").replace(f"name: {run.name}\n", f"name: {earlier.name}\n")
    folder.config.write_text(text, encoding="utf-8")
    aged(folder, "small_different", "finetune_most")
    monkeypatch.setattr("toolkit.bakeoff.session.train_quietly", None)  # nothing is left to train
    again = bake_off(config, ["most_stages"], 1, apart=False, halving=False)
    assert {row.preset: row.scores for row in again.rows} == {row.preset: row.scores for row in first.rows}
    assert any(row.trials[0].folder == earlier for row in again.rows)
