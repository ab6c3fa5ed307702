"""``advise --networks``: its arguments, table and config."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import toolkit.advise.laps
from tests.advise.sources import OTHER, SMALL, digits_job, named, source_networks
from tests.jobs import untrained_weights
from toolkit.config import dump_config, load_config

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.slow
def test_the_command_races_and_writes_the_winner(
    run_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolkit.advise.laps, "LEAST_IMAGES", 10)
    sources, job = source_networks(tmp_path / "sources"), digits_job(tmp_path, tmp_path / "cache")
    path, out = tmp_path / "job.yaml", tmp_path / "recommended.yaml"
    path.write_text(dump_config(job), encoding="utf-8")
    words = ("advise", "-c", path, "--networks", ",".join(named(sources)), "--try", "auto", "--out", out)
    code, printed, err = run_here(*words, "--json")
    assert code == 0, err
    found = json.loads(printed)
    assert {row["network"] for row in found["networks"]} == {SMALL, OTHER}
    assert found["race"]["budget"] >= 20
    written = load_config(out)
    assert (written.model.name, written.transfer.preset) == (found["network"], found["advice"]["preset"])
    assert "By published ImageNet" in out.read_text() or "no such baseline" in out.read_text()


@pytest.mark.slow
def test_the_command_prints_the_table_and_the_next_command(run_here: Run, tmp_path: Path) -> None:
    sources = {name: untrained_weights(name, None, tmp_path) for name in (SMALL, OTHER)}
    job = digits_job(tmp_path, tmp_path / "cache")
    path = tmp_path / "job.yaml"
    path.write_text(dump_config(job), encoding="utf-8")
    code, printed, err = run_here("advise", "-c", path, "--networks", ",".join(named(sources)))
    assert code == 0, err
    assert "linear probe" in printed
    assert "k-NN" in printed
    last = printed.splitlines()[-1]
    assert "transfer.preset=auto" in last
    assert "model.name=" in last
    assert "model.pretrained=" in last


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--networks", "resnet18"), "at least two networks, but resnet18"),
        (("--networks", "resnet18,resnet18"), "resnet18 was given more than once"),
        (("--networks", "resnet18,resnte50"), "did you mean resnet50"),
        (("--networks", "resnet18,resnet50", "--images", "."), "--images have none"),
    ],
)
def test_mistakes_are_named(run_here: Run, words: tuple[str, ...], said: str) -> None:
    code, out, err = run_here("advise", "-c", "quickstart", *words)
    assert (code, out) == (2, "")
    assert said in err
