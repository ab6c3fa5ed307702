"""What a fourth task costs: a copy of the toolkit gets one, and everything is asked of it."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

TASK = '''
"""Counting: each image has whole numbers."""

import numpy as np

from toolkit.tasks.base import LOSS, Metric
from toolkit.tasks.regression import Regression, regression_metrics


class Counting(Regression):
    """Numbers that are rounded; see ``Task``."""

    name = "counting"
    metrics = (Metric("exact", "exact", "max", share=True), Metric("mae", "MAE", "min", in_units=True), LOSS)

    def measure(self, outputs, labels, scale=None):
        found = regression_metrics(outputs, labels, scale)
        return {"exact": float((self.decide(outputs) == labels).mean()), "mae": found["mae"], "loss": found["loss"]}

    def decide(self, outputs):
        return np.round(outputs)
'''
PAGE = """
{% extends "report.html" %}
{% block title %}exact {{ metrics.exact | percent }}{% endblock %}
{% block verdict %}<p>{{ wrong }} wrong</p>{% endblock %}
"""
NEW_FILES = {"tasks/counting.py": TASK, "explain/templates/counting.html": PAGE}
NEW_LINES = (
    ("tasks/base.py", '"multilabel", "regression"]', '"multilabel", "regression", "counting"]'),
    ("tasks/registry.py", "\n\nTASKS:", "\nfrom toolkit.tasks.counting import Counting\n\nTASKS:"),
    ("tasks/registry.py", "Regression(),\n", 'Regression(),\n        "counting": Counting(),\n'),
    (
        "explain/report.py",
        '"regression": regression_facts',
        '"regression": regression_facts, "counting": lambda job, outputs, labels: '
        '{"wrong": int((job.objective.task.decide(outputs) != labels).sum())}',
    ),
)
JOB = """
import json, sys
from pathlib import Path
import numpy as np
from toolkit.config import make_config
from toolkit.data.summary import data_table
from toolkit.deploy import Predictor
from toolkit.deploy.run_export import export_job
from toolkit.engine import Trainer, build_job, evaluate_job, predict_outputs
from toolkit.engine.solvers import knn_baseline
from toolkit.explain import write_report

folder = Path(sys.argv[1])
common = dict(
    task="counting", output_dir=str(folder / "runs"), model=dict(name="lenet", pretrained=False),
    data=dict(format="csv", root=str(folder), image_size=28, augment="none"), cache=dict(dir=str(folder / "cache")),
    transfer="scratch",
)
config = make_config(
    dict(common, name="a", train=dict(epochs=3, lr=0.003, mixup=0.2), log=dict(embeddings=8, mistakes=4),
         callbacks=dict(early_stopping=dict(monitor="exact")))
)
trainer = Trainer.from_config(config)
assert data_table(trainer.job.data).row_count == 2
result = trainer.fit()
job = build_job(config, weights=result.folder.best)
export_job(job, folder / "export")
write_report(job, result.folder, *predict_outputs(job.network, job.loader(job.data.val, training=False)))
predicted = Predictor(folder / "export").predict([folder / "0000.png"])
print(json.dumps({
    "best": result.best,
    "again": evaluate_job(job),
    "files": sorted(path.name for path in result.folder.path.iterdir()),
    "predicted": predicted[0].to_dict(),
    "neighbours": knn_baseline(np.eye(4), np.arange(4.0)[:, None], np.eye(4), np.arange(4.0)[:, None], "counting",
                               num_classes=1, k=(1,)),
}))
"""


def copy_with_a_fourth_task(repo: Path, folder: Path) -> None:
    shutil.copytree(repo / "toolkit", folder / "toolkit", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in NEW_FILES.items():
        (folder / "toolkit" / name).write_text(text.lstrip(), encoding="utf-8")
    for name, old, new in NEW_LINES:
        text = (folder / "toolkit" / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (folder / "toolkit" / name).write_text(text.replace(old, new), encoding="utf-8")


def write_digits(folder: Path) -> None:
    digits, rows = load_digits(), [["image", "digit"]]
    for index in range(120):
        cv2.imwrite(str(folder / f"{index:04d}.png"), np.round(digits.images[index] * 15.9).astype(np.uint8))
        rows.append([f"{index:04d}.png", str(digits.target[index])])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


@pytest.mark.slow
def test_one_file_one_row_and_one_part_of_the_report(repo: Path, tmp_path: Path) -> None:
    copy_with_a_fourth_task(repo, tmp_path)
    (tmp_path / "data").mkdir()
    write_digits(tmp_path / "data")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", JOB, str(tmp_path / "data")]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    assert set(found["best"]) == {"exact", "mae", "loss", "epoch"}
    assert found["again"]["mae"] == pytest.approx(found["best"]["mae"], abs=1e-4)
    assert "report.html" in found["files"]
    assert set(found["predicted"]["values"]) == {"digit"}
    assert found["neighbours"]["1"]["exact"] == 1
