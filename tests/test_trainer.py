"""``toolkit.Trainer`` leaves behind what ``tools/train.py`` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import toolkit
from tests.jobs import digits_jobs, untrained_weights
from toolkit.commands import train
from toolkit.config import Config
from toolkit.core.console import command
from toolkit.core.errors import DeployError, Interrupted
from toolkit.engine import build_job

import paddle  # isort: skip
from paddle import nn  # isort: skip


pytestmark = pytest.mark.usefixtures("engines_in_process")


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Config]:
    return digits_jobs(
        tmp_path,
        model={"name": "squeezenet1_1", "pretrained": str(untrained_weights("squeezenet1_1", 5, tmp_path))},
        data={"classes": ["0", "1"], "samples_per_class": 6, "batch_size": 6, "augment": "none"},
        transfer={"preset": "linear_probe"},
        train={"epochs": 1},
        export={"enabled": True, "examples": 2},
    )


def files(folder: Path) -> set[str]:
    """Of a run, and of the runs beside it."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and "vdl" not in path.parts}


def test_python_creates_the_same_files_as_the_command(make: Callable[..., Config]) -> None:
    compared = {"preset": "linear_probe", "compare": ["scratch"]}
    outcome = train.train(make(name="command", transfer=compared)).json
    result = toolkit.Trainer.from_config(make(name="python", transfer=compared)).fit()
    assert files(result.folder.path) == files(result.folder.path.with_name("command"))
    assert {"report.html", "inference/inference.yml"} < files(result.folder.path)
    assert [row.preset for row in result.comparison] == ["linear_probe", "scratch"]
    assert (result.inference, result.report) == (result.folder.inference, result.folder.path / "report.html")
    assert result.to_json().keys() == outcome.keys()
    assert [example["truth"] for example in result.examples] == [one["truth"] for one in outcome["examples"]]
    digit = np.zeros((16, 16, 3), np.uint8)
    expected = toolkit.Predictor(result).predict(digit)[0].to_dict()
    for folder in (result.folder, result.folder.path, str(result.folder.path), result.folder.inference):
        assert toolkit.Predictor(folder).predict(digit)[0].to_dict() == expected


def test_resume_completes_what_was_interrupted_after_training(
    make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    config = make()
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="which is complete"):
        patch.setattr("toolkit.trainer.export_job", interrupted)
        toolkit.Trainer.from_config(config).fit()
    folder = config.output_dir / "job"
    with pytest.raises(DeployError, match=rf"no exported model yet .* {command('export')} .*job$"):
        toolkit.Predictor(folder)
    result = toolkit.Trainer.from_config(config).fit(resume=folder)
    assert result.report is not None
    assert toolkit.Predictor(result).classes == ("0", "1")


def test_python_asks_the_advisor_too(make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    settled = make(transfer={"preset": "scratch"}), {"preset": "scratch"}
    monkeypatch.setattr("toolkit.trainer.settle_preset", lambda config, resume: settled)
    trainer = toolkit.Trainer.from_config(make(transfer={"preset": "auto"}))
    assert (trainer.job.plan.preset, trainer.job.advice) == ("scratch", {"preset": "scratch"})


def test_a_custom_head_is_exported_and_in_the_report(make: Callable[..., Config]) -> None:
    job = build_job(make())
    job.network._conv9 = nn.Sequential(nn.Linear(512, 4), nn.Tanh(), nn.Linear(4, 2))
    result = toolkit.Trainer(job).fit()
    assert "head: _conv9 is Sequential" in result.folder.path.joinpath("report.html").read_text(encoding="utf-8")
    picture = np.full((32, 32, 3), 90, np.uint8)
    job.network.eval()
    scores = nn.functional.softmax(job.network(paddle.to_tensor(job.preprocessing.apply(picture)[None]))).numpy()[0]
    (found,) = toolkit.Predictor(result).predict(picture)
    assert found.confidence == pytest.approx(sorted(scores, reverse=True), abs=1e-4)


def test_a_run_without_weights_must_be_finished_first(make: Callable[..., Config]) -> None:
    folder = toolkit.engine.RunFolder.create(make())
    with pytest.raises(DeployError, match=f"finish its training: {command('train', '--resume')}"):
        toolkit.Predictor(folder)
