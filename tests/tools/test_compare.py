"""``tools/compare.py`` as a user calls it: killed, repeated, and its results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import untrained_weights
from toolkit.commands.compare import read_budget
from toolkit.core.errors import ConfigError

TOOLS = Path(__file__).resolve().parents[2] / "tools"
JOB = """
model: {name: squeezenet1_1, pretrained: squeezenet1_1.pdparams}
data: {format: digits, classes: [0, 1, 2], samples_per_class: 8, image_size: 32, batch_size: 8, val_fraction: 0.1}
transfer: last_stages
train: {epochs: 2, device: cpu}
cache: {dir: cache}
"""


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(TOOLS / "compare.py"), "-c", "job.yaml", *map(str, arguments)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a job and weights."""
    folder = tmp_path_factory.mktemp("place")
    untrained_weights("squeezenet1_1", 5, folder)
    (folder / "job.yaml").write_text(JOB, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("1h30m", 5400), ("1 d", 86400)]
)
def test_budgets(text: str, seconds: float) -> None:
    assert read_budget(text) == seconds


@pytest.mark.parametrize("text", ["20", "", "m", "-5m", "0s", "20 minutes of it", "5x"])
def test_budgets_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="a time like 20m"):
        read_budget(text)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--presets", "last_stges"), 2, "did you mean last_stages?"),
        (("--networks", "squeezenet1_2"), 2, "squeezenet1_1"),
        (("--networks", "mobilenet_v2"), 2, "--networks mobilenet_v2=FILE"),
        (("--seeds", "0"), 2, "expected 1 or more"),
    ],
)
def test_bad_input_is_one_clear_line(
    place: Path,
    call_here: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(place)
    found, said = call_here("compare", "-c", "job.yaml", *arguments)
    assert (found, words in said) == (code, True), said
    assert not (place / "runs").exists()


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 6000
    while not path.exists():
        assert process.poll() is None, "it ended too soon"
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)


def workers(folder: Path) -> Iterator[int]:
    """Processes of runs in a folder."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"toolkit.bakeoff.worker" in words and any(word.startswith(os.fsencode(folder)) for word in words):
            yield int(path.parent.name)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_it_survives_kills_and_continues(place: Path) -> None:
    arguments = ("--presets", "last_stages", "--seeds", 1, "--json", "--to-the-end")
    runs = (place / "runs" / "job-compare" / "runs").resolve()
    written = []
    for number, run, code in (
        (signal.SIGTERM, "last_stages-seed0", 130),
        (signal.SIGKILL, "usual_recipe-seed0", -9),
    ):
        process = subprocess.Popen(command(*arguments), cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            wait_for(runs / run / "metrics.jsonl", process)
            process.send_signal(number)
            _, said = process.communicate()
        finally:
            process.kill()
        assert process.returncode == code
        assert (b"repeat the same command" in said) == (number == signal.SIGTERM)
        end = time.monotonic() + 600
        while list(workers(place.resolve())):
            assert time.monotonic() < end, "a run outlived its parent"
            time.sleep(0.1)
        written.append((runs / "linear_probe-seed0" / "trial.json").stat().st_mtime_ns)
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=place, check=False)
    assert done.returncode == 0, done.stderr
    assert {*written, (runs / "linear_probe-seed0" / "trial.json").stat().st_mtime_ns} == {written[0]}
    check_what_is_left(place, json.loads(done.stdout))
    assert not list(runs.glob("*-seed0-2"))


def check_what_is_left(place: Path, said: dict[str, Any]) -> None:
    assert {row["preset"] for row in said["rows"]} == {"linear_probe", "last_stages", "usual_recipe", "scratch"}
    for row in said["rows"]:
        assert 5e7 < row["peak_memory"] < 5e10
        assert 1e6 < row["exported_bytes"] < 2e7
        (run,) = row["runs"]
        assert run["epochs"] == run["planned_epochs"] == 2
    assert said["statements"][0].startswith(f"Best: {said['best']['preset']}")
    assert (place / said["report"]).is_file()
    assert (place / said["inference"] / "inference.yml").is_file()
    records = list((place / said["folder"]).rglob("vdlrecords.*.log"))
    assert len(records) == 4
