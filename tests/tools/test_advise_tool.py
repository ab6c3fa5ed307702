"""``tools/advise.py``: arguments, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.jobs import digits_jobs, untrained_weights
from toolkit.config import dump_config, load_config

Run = Callable[..., tuple[int, str, str]]


def test_json_is_the_only_output(run_here: Run, tmp_path: Path) -> None:
    config = tmp_path / "job.yaml"
    model = {"name": "squeezenet1_1", "pretrained": str(untrained_weights("squeezenet1_1", None, tmp_path))}
    data = {"classes": ["0", "1"], "samples_per_class": 8}
    job = digits_jobs(tmp_path, model=model, data=data, transfer="auto", cache={"engine": "dygraph"})()
    config.write_text(dump_config(job), encoding="utf-8")
    code, out, err = run_here("advise", "-c", config, "--json", "--sample", 10, "--out", tmp_path / "recommended.yaml")
    assert code == 0, err
    found = json.loads(out)
    assert {"size", "similarity", "confidence", "preset", "cut", "evidence", "runner_up"} <= set(found)
    assert found["sample"] == 10
    assert load_config(tmp_path / "recommended.yaml").transfer.preset == found["preset"]


def test_nothing_to_look_at(run_here: Run) -> None:
    code, out, err = run_here("advise")
    assert (code, out) == (2, "")
    assert "nothing to advise on" in err
