"""Faults when a training is started or resumed: one clear line each, nothing lost, nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from toolkit.core.locking import try_lock

Call = Callable[..., tuple[int, str]]
TOOL = Path(__file__).resolve().parents[2] / "tools" / "train.py"
JOB = """
model: {name: squeezenet1_1, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 12, image_size: 35, batch_size: 6, val_fraction: 0.2}
transfer: scratch
train: {device: cpu, epochs: 1, lr: 0.001, optimizer: sgd}
log: {visualdl: false}
export: {enabled: false, report: false}
"""
RAISES = """
from paddle.callbacks import Callback

class Raises(Callback):
    def on_train_batch_end(self, step, logs=None):
        if step == 1:
            raise ValueError("too bad")
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    return path


@pytest.fixture
def begun(job: Path, call_here: Call) -> Path:
    """The folder of a trained run."""
    assert call_here("train", "-c", job)[0] == 0
    return Path("runs/job")


def in_a_process(*arguments: object) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(TOOL), *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    return done.returncode, done.stderr


def errors(said: str) -> list[str]:
    assert "Traceback" not in said
    return [line for line in said.splitlines() if line.startswith("error: ")]


def epochs_of(run: Path) -> list[int]:
    return [json.loads(line)["epoch"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_resume_with_another_model_is_refused_with_all_differences(begun: Path, call_here: Call) -> None:
    before = {path: path.read_bytes() for path in begun.rglob("*") if path.is_file() and path.name != ".lock"}
    changed = ["-o", "model.name=resnet18", "-o", "data.image_size=40", "-o", "train.epochs=3"]
    code, said = call_here("train", "--resume", begun, *changed)
    assert code == 2
    (error,) = errors(said)
    assert "model.name: squeezenet1_1, not resnet18" in error
    assert "data.image_size: 35, not 40" in error
    assert "epochs" not in error
    assert {path: path.read_bytes() for path in before} == before


def test_resume_with_more_epochs_and_another_rate(begun: Path, call_here: Call) -> None:
    code, said = call_here("train", "--resume", begun, "-o", "train.epochs=2", "-o", "train.lr=0.01")
    assert code == 0, said
    assert "continues with another train.epochs: 1, not 2; another train.lr: 0.001, not 0.01" in said
    assert epochs_of(begun) == [1, 2]


@pytest.mark.parametrize("path", ["runs/none", "."])
def test_resume_of_something_that_is_not_a_run(job: Path, call_here: Call, path: str) -> None:
    code, said = call_here("train", "-c", job, "--resume", path)
    assert code in (1, 2)
    assert "no run here" in errors(said)[0]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("callbacks.early_stopping.monitor=val/akkuracy", ["val/loss", "val/top1", "train/loss", "akkuracy"]),
        ("callbacks.checkpoint.monitor=val/map", ["not a metric of classification", "val/top1", "val/macro_f1"]),
        ("callbacks.remote_monitor=ftp://example.org", ["http:// or https://", "found ftp:"]),
        ("callbacks.remote_monitor=example.org", ["http:// or https://"]),
        ("callbacks.custom=[nowhere.Mine]", ["nowhere.Mine", "no module"]),
        ("train.amp=O1", ["train.amp: O1 needs a GPU"]),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_written(
    job: Path, call_here: Call, override: str, words: list[str]
) -> None:
    code, said = call_here("train", "-c", job, "-o", override)
    assert code == 2
    (error,) = errors(said)
    assert [word for word in words if word not in error] == []
    assert not Path("runs").exists()


def test_a_callback_that_raises_leaves_a_resumable_run(
    job: Path, call_here: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_callback.py").write_text(RAISES)
    monkeypatch.syspath_prepend(str(tmp_path))
    code, said = call_here("train", "-c", job, "-o", "callbacks.custom=[their_callback.Raises]")
    assert code == 1
    (error,) = errors(said)
    assert "their_callback.Raises failed in on_train_batch_end, epoch 1: ValueError: too bad" in error
    assert "their_callback.py:7" in error
    assert "tools/train.py --resume runs/job" in said
    code, said = call_here("train", "--resume", "runs/job", "-o", "callbacks.custom=[]")
    assert code == 0, said
    assert epochs_of(Path("runs/job")) == [1]


def test_a_run_in_use_by_another_process(begun: Path, call_here: Call) -> None:
    held = try_lock(begun / ".lock")
    assert held is not None
    try:
        code, said = call_here("train", "--resume", begun, "-o", "train.epochs=2")
    finally:
        held.release()
    assert code == 1
    assert errors(said) == [f"error: {begun} is in use: another process trains in it"]
    assert epochs_of(begun) == [1]


def test_several_processes_are_for_the_cpu(job: Path, call_here: Call) -> None:
    code, said = call_here("train", "-c", job, "-o", "train.processes=2", "-o", "train.device=gpu")
    assert code == 2
    assert errors(said) == ["error: train.processes is for the CPU"]
    assert "paddle.distributed.launch" in said
    assert not Path("runs").exists()


@pytest.mark.parametrize("place", ["file", "file/runs"])
def test_a_file_where_the_runs_belong(job: Path, call_here: Call, place: str) -> None:
    Path("file").touch()
    code, said = call_here("train", "-c", job, "-o", f"output_dir={place}")
    assert code == 1
    assert f"cannot write {place}" in errors(said)[0]
    assert "choose another output_dir" in said


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that not even root can write."""
    folder = tmp_path / "read only"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted and os.geteuid() == 0:
        pytest.skip("root writes everywhere, and nothing can be mounted")
    folder.chmod(0o555) if not mounted else None
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True) if mounted else folder.chmod(0o755)


def test_a_read_only_folder(job: Path, call_here: Call, read_only: Path) -> None:
    code, said = call_here("train", "-c", job, "-o", f"output_dir={read_only}")
    assert code == 1
    assert f"cannot write {read_only}" in errors(said)[0]


@pytest.mark.slow
@pytest.mark.multiprocess
def test_more_processes_than_images(job: Path) -> None:
    few = ["-o", "train.processes=5", "-o", "data.samples_per_class=2", "-o", "data.batch_size=2"]
    code, said = in_a_process("-c", job, *few)
    assert code == 1
    assert errors(said) == ["error: 5 processes cannot share batches of 2 image(s)"]
    assert "last lines" not in said
    assert not list(Path("runs").glob("*"))
