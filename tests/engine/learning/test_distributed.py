"""Several processes on one machine: they agree on everything, and do what one process does."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from tests.engine.runs.test_resume import Stops
from toolkit.config import Config, dump_config
from toolkit.core.errors import Interrupted
from toolkit.core.runtime import seed_everything
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.learning import step
from toolkit.engine.runs.state import TrainingState

Make = Callable[..., Config]
PROGRAM = Path(__file__).with_name("distributed_program.py")
LAUNCH = "import sys; from toolkit.commands.launch import launch; sys.exit(launch(int(sys.argv[1]), sys.argv[2:]))"
NO_BATCH_NORM = {
    "model": {"name": "squeezenet1_1", "pretrained": False},
    "data": {"samples_per_class": 16, "batch_size": 12, "image_size": 35, "classes": ["5", "6", "7"]},
    "transfer": {"preset": "scratch"},
    "train": {"epochs": 5, "optimizer": "momentum", "lr": 0.0001},
}
"""BatchNorm's statistics are those of a process's part of the batch; a network without it does not depend on parts."""


def run(folder: Path, processes: int, *words: object, expect: int = 0) -> tuple[list[dict[str, Any]], str]:
    """The answers of all processes, and what was said."""
    out = folder / f"answer-{processes}"
    command = [sys.executable, "-c", LAUNCH, processes, sys.executable, PROGRAM, out, *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == expect, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{out.name}.*"))], done.stderr


def written(config: Config, path: Path) -> Path:
    path.write_text(dump_config(config), encoding="utf-8")
    return path


@pytest.mark.parametrize("processes", [2, 4])
def test_what_they_tell_each_other(tmp_path: Path, processes: int) -> None:
    answers, _ = run(tmp_path, processes, "talk")
    ranks = range(processes)
    rows = [float(10 * rank + i) for rank in ranks for i in range(3 * rank)]
    assert answers == [{"sums": [processes, sum(ranks)], "rows": rows, "main": {"path": "ä"}}] * processes


def test_two_processes_train_as_one(make: Make, tmp_path: Path) -> None:
    odd = {**NO_BATCH_NORM, "data": {**NO_BATCH_NORM["data"], "batch_size": 13}}  # 7 and 6 images; 5 and 4 in the end
    one = written(make(**odd), tmp_path / "one.yaml")
    shared = {**odd, "train": {**NO_BATCH_NORM["train"], "processes": 2}}
    two = written(make(name="two", **shared), tmp_path / "two.yaml")
    (alone,), _ = run(tmp_path, 1, "train", one)
    global_batch_size, _ = run(tmp_path, 2, "train", two)
    assert global_batch_size[0] == global_batch_size[1]
    assert len(alone["losses"]) == 20
    assert global_batch_size[0]["losses"] == pytest.approx(alone["losses"], rel=5e-5)
    assert global_batch_size[0]["last"] == pytest.approx(alone["last"], rel=1e-4)


def test_a_batch_too_small_to_share_is_refused(make: Make, tmp_path: Path) -> None:
    config = make(data={"batch_size": 1}, train={"processes": 2})
    _, said = run(tmp_path, 2, "train", written(config, tmp_path / "job.yaml"), expect=1)
    assert "2 processes cannot share batches of 1 image(s)" in said


def test_each_process_has_dropout_masks_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main process's are those of a job of one; Python's and numpy's numbers are the same on all."""
    drawn = []
    for number in (0, 1, 2, 1):
        monkeypatch.setattr(step, "rank", lambda number=number: number)
        step.seed_step(7)
        mask = paddle.nn.functional.dropout(paddle.ones([64]), 0.5).numpy().tolist()
        drawn.append((mask, random.random(), np.random.rand()))
    seed_everything(7)
    alone = paddle.nn.functional.dropout(paddle.ones([64]), 0.5).numpy().tolist()
    masks = [mask for mask, *_ in drawn]
    assert masks[0] == alone
    assert masks[3] == masks[1]
    assert masks[0] != masks[1] != masks[2] != masks[0]
    assert len({(python, numpy) for _, python, numpy in drawn}) == 1


def test_evaluation_is_exact_for_sizes_that_do_not_divide(make: Make, tmp_path: Path) -> None:
    answers, _ = run(tmp_path, 2, "exact", written(make(**NO_BATCH_NORM), tmp_path / "job.yaml"))
    assert answers[0] == answers[1]
    for count, (shared, alone) in answers[0].items():
        assert shared == pytest.approx(alone, rel=1e-6), count
        assert all(shared[name] == alone[name] for name in ("top1", "top5", "macro_f1")), count


def test_features_are_computed_by_one_and_read_by_both(make: Make, tmp_path: Path) -> None:
    probe = {"transfer": {"preset": "linear_probe"}, "data": {"batch_size": 7}}
    (alone,), _ = run(tmp_path, 1, "train", written(make(**probe), tmp_path / "one.yaml"))
    both = make(name="two", **probe, train={"processes": 2})
    global_batch_size, said = run(tmp_path, 2, "train", written(both, tmp_path / "two.yaml"))
    assert global_batch_size[0]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    assert said.count("feature cache: on") == 1


def test_a_process_that_dies_ends_the_job_and_another_number_goes_on(make: Make, tmp_path: Path) -> None:
    config = make(**{**NO_BATCH_NORM, "train": {**NO_BATCH_NORM["train"], "epochs": 4, "processes": 2}})
    job = written(config, tmp_path / "job.yaml")
    _, said = run(tmp_path, 2, "train", job, 6, expect=1)
    folder = RunFolder(config.output_dir / "job")
    assert TrainingState.load(folder.last).epoch == 1
    assert "--resume" in said
    assert "has lost the others" in said
    assert "Traceback" not in said
    (resumed,), _ = run(tmp_path, 1, "train", job, 0, folder.path)
    assert resumed["last"]["epoch"] == 4


def test_another_number_goes_on_in_the_middle_of_an_epoch(make: Make, tmp_path: Path) -> None:
    values = {**NO_BATCH_NORM, "train": {**NO_BATCH_NORM["train"], "epochs": 2}}
    (alone,), _ = run(tmp_path, 1, "train", written(make(name="whole", **values), tmp_path / "whole.yaml"))
    config = make(**values)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(2)]).fit()
    begun = config.output_dir / "job"
    assert (TrainingState.load(RunFolder(begun).last).step, len(alone["losses"])) == (3, 8)
    for folder, processes, said_of_it, losses in (
        ("shared", 2, "resuming", alone["losses"][3:]),  # the same batches, shared
        ("own", 1, "36 images of this epoch were seen in 3 steps; in batches of 24 that is step 1", None),
    ):
        shutil.copytree(begun, config.output_dir / folder)
        going_on = make(**{**values, "train": {**values["train"], "processes": processes}})
        job = written(going_on, tmp_path / f"{folder}.yaml")
        found, said = run(tmp_path, 2, "train", job, 0, config.output_dir / folder)
        assert said_of_it in said
        assert found[0]["losses"] == found[1]["losses"]
        if losses is None:
            assert len(found[0]["losses"]) == 3
        else:
            assert found[0]["losses"] == pytest.approx(losses, rel=1e-5)
            assert "images of this epoch" not in said
        assert found[0]["last"]["epoch"] == 2
