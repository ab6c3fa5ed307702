"""Run folders: numbered, locked, and resumed only with their own config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toolkit.config import load_config, make_config
from toolkit.core.errors import ConfigError, ToolkitError, TrainingError
from toolkit.engine.runs.folder import RunFolder


def test_a_second_run_of_a_name_gets_a_number(tmp_path: Path) -> None:
    config = make_config({"name": "鸟", "model": "resnet18", "output_dir": tmp_path})
    first, second = RunFolder.create(config), RunFolder.create(config)
    assert (first.path.name, second.path.name) == ("鸟", "鸟-2")
    assert load_config(second.config) == config


def test_metrics_after_the_resumed_epoch_are_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for epoch in (1, 2, 3):
        folder.append_metrics({"epoch": epoch})
    folder.keep_metrics_until(2)
    folder.append_metrics({"epoch": 3, "again": True})
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert lines == [{"epoch": 1}, {"epoch": 2}, {"epoch": 3, "again": True}]


def test_an_incomplete_line_is_dropped(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.append_metrics({"epoch": 1})
    with folder.metrics.open("a") as file:
        file.write('{"epoch": 2, "tra')
    folder.keep_metrics_until(1)
    assert folder.metrics.read_text() == '{"epoch": 1}\n'


def test_a_run_resumes_with_its_own_config_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"name": "a", "model": "resnet18", "output_dir": tmp_path, "train": {"epochs": 3}}
    folder = RunFolder.create(make_config(values))
    elsewhere = {**values, "name": "b", "data": {"workers": 7}, "transfer": {"compare": ["scratch"]}}
    assert RunFolder.open(folder.path, make_config(elsewhere)).path == folder.path
    folder.adopt(make_config(elsewhere))
    assert capsys.readouterr().err == ""
    with pytest.raises(ConfigError, match=r"another model\.name: resnet18, not vgg11; another seed: 0, not 1"):
        RunFolder.open(folder.path, make_config({**values, "model": "vgg11", "seed": 1}))


def test_a_run_may_resume_with_more_epochs_and_another_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"name": "a", "model": "resnet18", "output_dir": tmp_path, "train": {"epochs": 3}}
    folder = RunFolder.create(make_config(values))
    changed = make_config({**values, "train": {"epochs": 4, "lr": 0.5}})
    RunFolder.open(folder.path, changed)
    assert load_config(folder.config).train.epochs == 3  # until it is resumed
    folder.adopt(changed)
    assert "train.epochs: 3, not 4; another train.lr: None, not 0.5" in capsys.readouterr().err
    assert load_config(folder.config).train.epochs == 4


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    folder = RunFolder.create(make_config({"name": "a", "model": "resnet18", "output_dir": tmp_path}))
    held = folder.lock()
    with pytest.raises(TrainingError, match="in use"):
        folder.lock()
    assert held is not None
    held.release()
    again = folder.lock()
    assert again is not None
    again.release()


def test_unusable_folders_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no run here"):
        RunFolder.open(tmp_path, make_config({"name": "a", "model": "b"}))
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolkitError, match="a file is in the way"):
        RunFolder.create(make_config({"name": "a", "model": "b", "output_dir": tmp_path / "file" / "runs"}))
