"""Results that cannot be written because the disk of stdout is full: one line, exit code 1, and the work is kept."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.jobs import untrained_weights

Call = Callable[..., tuple[int, str]]
FULL = Path("/dev/full")
JOB = """
name: job
model: {name: squeezenet1_1, pretrained: squeezenet1_1.pdparams}
data: {format: digits, classes: [0, 1], samples_per_class: 10, image_size: 32, batch_size: 8, augment: none}
transfer: linear_probe
train: {epochs: 1, device: cpu}
cache: {dir: cache, engine: dygraph}
log: {visualdl: false}
export: {enabled: true, report: false, examples: 0}
"""

pytestmark = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")


@contextmanager
def full_stdout() -> Iterator[None]:
    """Make stdout of this process a full disk."""
    before = os.dup(1)
    try:
        with FULL.open("w") as full:
            os.dup2(full.fileno(), 1)
        yield
    finally:
        os.dup2(before, 1)
        os.close(before)


@pytest.fixture
def call(tmp_path: Path, call_here: Call, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Call a tool whose result cannot be written."""

    def run(*words: str) -> None:
        with full_stdout():
            code, said = call_here(*words)
        assert code == 1
        assert said.splitlines()[-2:] == [
            f"error: cannot write the result to stdout: {os.strerror(errno.ENOSPC)}",
            "  the work itself is done; free some space",
        ]

    monkeypatch.chdir(tmp_path)
    untrained_weights("squeezenet1_1", None, tmp_path)
    Path("job.yaml").write_text(JOB)
    return run


def test_train_and_eval(call: Callable[..., None], call_here: Call) -> None:
    call("train", "-c", "job.yaml")
    record = json.loads(Path("runs/job/run.json").read_text())
    assert record["finished"]
    assert record["completed"]
    assert Path("runs/job/inference/inference.yml").is_file()
    call("eval", "runs/job")
    call("eval", "runs/job", "--json")
    assert call_here("eval", "runs/job", "--json")[0] == 0


def test_advise(call: Callable[..., None]) -> None:
    call("advise", "-c", "job.yaml", "--json", "--out", "better.yaml")
    assert "preset:" in Path("better.yaml").read_text()
