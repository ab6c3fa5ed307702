"""``transfer.preset: auto``: the advisor and the training read the same images."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import toolkit.advise.laps
from tests.advise.test_advisor import data_in, images_in
from toolkit.config import Config
from toolkit.trainer import Trainer


def test_what_there_is_to_say_of_the_data_is_said_once(
    make: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for part in ("training_set", "dev"):
        images_in(tmp_path / "set" / part, {"red": 8, "blue": 8})  # the same images: a warning
    Trainer.from_config(make(data=data_in(tmp_path / "set"), train={"epochs": 1})).fit()
    said = capsys.readouterr().err
    assert "auto selects" in said
    for words in ("data: 2 classes", "splits of", "images: 32", "identical image"):
        assert said.count(words) == 1, words


def test_auto_races_the_best_presets_and_a_repetition_reads_the_laps(
    make: Callable[..., Config],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(toolkit.advise.laps, "LEAST_IMAGES", 10)
    images_in(tmp_path / "set", {"red": 12, "blue": 12})
    config = make(data=data_in(tmp_path / "set"), train={"epochs": 2}, transfer={"preset": "auto"})
    first = Trainer.from_config(config)
    said = capsys.readouterr().err
    assert "racing " in said
    assert "In a race on training images held out in turn" in said
    race = (first.job.advice or {})["race"]
    assert race["winner"] in said
    assert race["winner"] == first.job.config.transfer.preset
    laps = sorted(config.output_dir.glob("*-race/*/lap.npz"))
    assert len(laps) == sum(race["rungs"].values())
    assert not list(config.output_dir.glob("*-race/*/checkpoints"))
    before = {path: path.stat().st_mtime_ns for path in laps}
    again = Trainer.from_config(config)
    assert {path: path.stat().st_mtime_ns for path in laps} == before
    assert (again.job.advice or {})["race"]["scores"] == race["scores"]


def test_without_a_race_the_rule_decides_alone(
    make: Callable[..., Config], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images_in(tmp_path / "set", {"red": 12, "blue": 12})
    for options in ({"transfer": {"preset": "auto", "race": "none"}}, {"transfer": {"preset": "auto"}}):
        fold = {"fold": "1/2"} if "race" not in options["transfer"] else {}
        job = Trainer.from_config(make(data={**data_in(tmp_path / "set"), **fold}, **options)).job
        assert (job.advice or {})["race"] is None
    Trainer.from_config(make(data=data_in(tmp_path / "set"), transfer={"preset": "auto"}))
    said = capsys.readouterr().err
    assert "racing" not in said
    assert re.search(r"no race of presets: \d+ training images are too few to show anything \(fewer than 100\)", said)
    assert "no race of presets: it would train on the images that data.fold 1/2 holds out" in said
