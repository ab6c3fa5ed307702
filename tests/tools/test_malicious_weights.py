"""Files that would run a command when loaded, given to every tool that reads weights or a run."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from toolkit.zoo import create_network

JOB = """
model: {name: squeezenet1_1, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 10, image_size: 32, batch_size: 8, val_fraction: 0.3}
transfer: scratch
train: {epochs: 1, device: cpu}
log: {visualdl: false}
export: {report: false, examples: 0}
"""

Call = Callable[..., tuple[int, str]]


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, call_here: Call) -> Path:
    """A folder with ``job.yaml``, and ``runs/job``: trained and exported."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "job.yaml").write_text(JOB, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        code, said = call_here("train", "-c", "job.yaml")
    assert code == 0, said
    assert (folder / "runs/job/inference/inference.yml").is_file()
    return folder


@pytest.fixture
def work(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to damage, with an image."""
    folder = tmp_path / "work"
    shutil.copytree(trained, folder)
    monkeypatch.chdir(folder)
    (folder / "image.png").write_bytes(cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes())
    return folder


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """The file that the command creates."""
    return tmp_path / "it-ran"


@pytest.fixture
def evil(marker: Path) -> bytes:
    """A weights file of the right network, with one more entry."""
    state: dict[str, Any] = {
        key: value.numpy() for key, value in create_network("squeezenet1_1", 2).state_dict().items()
    }
    return pickle.dumps({**state, "extra": Runs(f"touch '{marker}'")}, protocol=4)


def test_the_file_is_harmful(evil: bytes, marker: Path) -> None:
    pickle.loads(evil)
    assert marker.exists()


def assert_refused(outcome: tuple[int, str], marker: Path, *words: str, code: int = 1) -> None:
    assert not marker.exists(), "the command ran"
    found, said = outcome
    assert found == code, said
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]
    for word in words:
        assert word in line


@pytest.mark.parametrize("name", ["weights.pdparams", "weights.safetensors", "weights"])
def test_predict_with_a_network_and_a_file(call_here: Call, work: Path, evil: bytes, marker: Path, name: str) -> None:
    (work / name).write_bytes(evil)
    outcome = call_here("predict", "--network", "squeezenet1_1", "--weights", name, "image.png")
    assert_refused(outcome, marker, name, "was refused", f"{os.system.__module__}.system")


def test_train_from_a_file(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    (work / "weights.pdparams").write_bytes(evil)
    options = ("-o", "model.pretrained=weights.pdparams", "-o", "transfer=all_stages", "-o", "name=other")
    assert_refused(call_here("train", "-c", "job.yaml", *options), marker, "weights.pdparams was refused", ".system")
    assert not (work / "runs/other").exists()


def test_train_from_another_run(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    (work / "runs/job/checkpoints/best.pdparams").write_bytes(evil)
    options = ("-o", "model.pretrained={config: job.yaml}", "-o", "transfer=all_stages", "-o", "name=other")
    assert_refused(call_here("train", "-c", "job.yaml", *options), marker, "best.pdparams is damaged")
    (work / "runs/job/checkpoints/best.json").unlink()  # without a digest the reader itself refuses
    assert_refused(call_here("train", "-c", "job.yaml", *options), marker, "best.pdparams was refused", ".system")


def test_resume_from_the_last_epoch(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    checkpoints = work / "runs/job/checkpoints"
    (last,), (previous,) = checkpoints.glob("last.*"), checkpoints.glob("previous.*")
    whole = previous.read_bytes()
    for path in (last, previous):
        path.write_bytes(evil)
    more = ("train", "--resume", "runs/job", "-o", "train.epochs=2")
    assert_refused(call_here(*more), marker, "is not a checkpoint")
    previous.write_bytes(whole)  # the previous checkpoint serves
    call_here(*more)
    assert not marker.exists()


def test_resume_with_the_best_epoch(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    (work / "runs/job/checkpoints/best.pdparams").write_bytes(evil)
    assert_refused(call_here("train", "--resume", "runs/job"), marker, "best.pdparams is damaged")


@pytest.mark.parametrize("tool", ["eval", "export"])
def test_a_runs_best_epoch(call_here: Call, work: Path, evil: bytes, marker: Path, tool: str) -> None:
    (work / "runs/job/checkpoints/best.pdparams").write_bytes(evil)
    assert_refused(call_here(tool, "-c", "runs/job/config.yaml"), marker, "best.pdparams is damaged")
    (work / "runs/job/checkpoints/best.json").unlink(missing_ok=True)  # without a digest the reader itself refuses
    outcome = call_here(tool, "-c", "runs/job/config.yaml")
    assert_refused(outcome, marker, "best.pdparams was refused", ".system")


@pytest.mark.parametrize("tool", ["eval", "export", "train"])
def test_a_runs_config(call_here: Call, work: Path, marker: Path, tool: str) -> None:
    with (work / "runs/job/config.yaml").open("a", encoding="utf-8") as file:
        file.write(f"seed: !!python/object/apply:os.system [\"touch '{marker}'\"]\n")
    assert_refused(call_here(tool, "-c", "runs/job/config.yaml"), marker, "python/object", code=2)


@pytest.mark.parametrize("model", ["runs/job", "runs/job/inference"])
def test_predict_with_an_exported_model(call_here: Call, work: Path, evil: bytes, marker: Path, model: str) -> None:
    params = work / "runs/job/inference/inference.pdiparams"
    params.write_bytes(evil)
    assert_refused(call_here("predict", "--model", model, "image.png"), marker, "inference.pdiparams", "replaced")


def test_predict_with_an_exported_model_whose_manifest_vouches_for_it(
    call_here: Call, work: Path, evil: bytes, marker: Path
) -> None:
    folder = work / "runs/job/inference"
    (folder / "inference.pdiparams").write_bytes(evil)
    values = yaml.safe_load((folder / "inference.yml").read_text(encoding="utf-8"))
    values["files"]["params"] |= {"bytes": len(evil), "sha256": hashlib.sha256(evil).hexdigest()}
    (folder / "inference.yml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert_refused(call_here("predict", "--model", "runs/job", "image.png"), marker, "cannot load")


def test_predict_with_a_manifest_that_runs(call_here: Call, work: Path, marker: Path) -> None:
    manifest = work / "runs/job/inference/inference.yml"
    values = yaml.safe_load(manifest.read_text(encoding="utf-8"))
    text = yaml.safe_dump({**values, "extra": "HERE"}).replace(
        "HERE", f"!!python/object/apply:os.system [\"touch '{marker}'\"]"
    )
    manifest.write_text(text, encoding="utf-8")
    assert_refused(call_here("predict", "--model", "runs/job", "image.png"), marker, "inference.yml")


def test_predict_with_weights_in_place_of_a_model(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    (work / "weights.pdparams").write_bytes(evil)
    assert_refused(call_here("predict", "--model", "weights.pdparams", "image.png"), marker, "weights.pdparams")


def test_train_on_an_archive_of_images(call_here: Call, work: Path, evil: bytes, marker: Path) -> None:
    with tarfile.open(work / "cifar-10-python.tar.gz", "w:gz") as archive:
        batch = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        batch.size = len(evil)
        archive.addfile(batch, io.BytesIO(evil))
    options = ("-o", "data={format: cifar10, root: .}", "-o", "name=other")
    assert_refused(call_here("train", "-c", "job.yaml", *options), marker, "tar.gz was refused", ".system")
