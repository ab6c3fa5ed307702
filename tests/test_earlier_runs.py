"""Run folders, checkpoints, caches and exported models of version 0.1.0, before its modules moved, are still of use.

``assets/runs_of_0.1.0.tar.xz`` has two runs of one job on the embedded digits, LeNet with a head alone that is trained
for 4 epochs: one that is finished and exported, and one that was stopped by SIGTERM in epoch 3; and their features.
"""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from toolkit import Predictor, load_config
from toolkit.config import DataConfig
from toolkit.data.formats.digits import read_digits
from toolkit.engine import RunFolder, Trainer
from toolkit.engine.runs.trained import load_trained

ARCHIVE = Path(__file__).with_name("assets") / "runs_of_0.1.0.tar.xz"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines(run: Path) -> list[dict[str, dict[str, float]]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_is_evaluated_as_it_was(place: Path) -> None:
    folder = RunFolder(place / "runs" / "finished")
    trainer = Trainer.from_config(load_config(folder.config))
    found = load_trained(folder).evaluate(trainer.job.data.val)
    best = folder.read_record()["result"]["best"]
    assert found["top1"] == best["top1"]
    assert found["loss"] == pytest.approx(best["loss"], rel=1e-5)


def test_a_finished_run_is_not_trained_again(place: Path) -> None:
    folder = RunFolder(place / "runs" / "finished")
    trainer = Trainer.from_config(load_config(folder.config))
    assert trainer.fit(resume=folder.path).best["epoch"] == 4
    assert trainer.was_complete


def test_a_stopped_run_goes_on_from_its_checkpoint_and_its_features(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = place / "runs" / "interrupted"
    Trainer.from_config(load_config(run / "config.yaml")).fit(resume=run)
    assert "computed once" not in capsys.readouterr().err
    went_on, whole = lines(run), lines(place / "runs" / "finished")
    assert len(went_on) == 4
    for epoch, expected in zip(went_on, whole, strict=True):
        assert epoch["val"]["top1"] == expected["val"]["top1"]
        assert epoch["val"]["loss"] == pytest.approx(expected["val"]["loss"], rel=1e-5)
        assert epoch["train"]["loss"] == pytest.approx(expected["train"]["loss"], rel=1e-5)


def test_an_exported_model_predicts(place: Path) -> None:
    predictor = Predictor(place / "runs" / "finished" / "inference")
    images = read_digits(DataConfig(format="digits", classes=("0", "1", "2"))).splits["train"]
    rows = [index for index in range(300) if images.labels[index] < 3]
    found = predictor.predict([images.read(index)[:, :, 0] for index in rows])
    right = [prediction.label[0] == str(images.labels[index]) for prediction, index in zip(found, rows, strict=True)]
    assert np.mean(right) > 0.9
