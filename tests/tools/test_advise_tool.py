"""``tools/advise.py``: arguments, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import dump_config, load_config


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_weights("resnet18", None, tmp_path_factory.mktemp("weights"))


def call(repo: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(repo / "tools" / "advise.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_json_is_the_only_output(repo: Path, tmp_path: Path, backbone: Path) -> None:
    config = tmp_path / "job.yaml"
    model = {"name": "resnet18", "pretrained": str(backbone)}
    data = {"classes": ["0", "1"], "samples_per_class": 8}
    job = digits_jobs(tmp_path, model=model, data=data, transfer="auto", cache={"engine": "dygraph"})()
    config.write_text(dump_config(job), encoding="utf-8")
    done = call(repo, "-c", config, "--json", "--sample", 10, "--out", tmp_path / "recommended.yaml")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"size", "similarity", "confidence", "preset", "cut", "evidence", "runner_up"} <= set(found)
    assert found["sample"] == 10
    assert load_config(tmp_path / "recommended.yaml").transfer.preset == found["preset"]


def test_nothing_to_look_at(repo: Path) -> None:
    done = call(repo)
    assert done.returncode == 2
    assert "nothing to advise on" in done.stderr
    assert "Traceback" not in done.stderr
