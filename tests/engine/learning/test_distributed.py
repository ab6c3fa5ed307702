"""Several processes on one machine agree on everything, and train like a single process."""

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
from tests.jobs import digits_jobs
from toolkit.callbacks import LambdaCallback
from toolkit.config import Config, dump_config
from toolkit.core.errors import Interrupted
from toolkit.core.runtime import seed_everything
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.learning import step
from toolkit.engine.runs.state import TrainingState

Make = Callable[..., Config]
Answers = tuple[dict[str, Any], Config]
PROGRAM = Path(__file__).with_name("distributed_program.py")
LAUNCH = "import sys; from toolkit.commands.launch import launch; sys.exit(launch(int(sys.argv[1]), sys.argv[2:]))"
NO_BATCH_NORM = {
    "model": {"name": "squeezenet1_1", "pretrained": False},
    "data": {"samples_per_class": 16, "batch_size": 12, "image_size": 35, "classes": ["5", "6", "7"]},
    "transfer": {"preset": "scratch"},
    "train": {"epochs": 5, "optimizer": "momentum", "lr": 0.0001},
}
"""BatchNorm's statistics depend on how a batch is shared; a network without BatchNorm does not."""


def run(folder: Path, processes: int, *calls: list[Any], expect: int = 0) -> tuple[list[Any], str]:
    """Run calls of ``distributed_program.py``; return the list of answers of each process, and stderr."""
    out = folder / f"answer-{processes}"
    texts = [json.dumps([str(word) for word in call]) for call in calls]
    command = [sys.executable, "-c", LAUNCH, str(processes), sys.executable, str(PROGRAM), str(out), *texts]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == expect, done.stderr[-3000:]
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"{out.name}.*"))], done.stderr


def train(folder: Path, processes: int, *words: object, expect: int = 0) -> tuple[list[dict[str, Any]], str]:
    """Train in processes; return the answer of each, and stderr."""
    answers, said = run(folder, processes, ["train", *words], expect=expect)
    return [answer for (answer,) in answers], said


def written(config: Config, path: Path) -> Path:
    path.write_text(dump_config(config), encoding="utf-8")
    return path


def losses_alone(config: Config) -> tuple[list[float], dict[str, float]]:
    """Train in this process; return the losses of all steps, and the last metrics."""
    losses: list[float] = []
    note = LambdaCallback(on_train_batch_end=lambda step, logs: losses.append(float(logs["loss"])))
    return losses, Trainer(build_job(config), [note]).fit().last


def expected_talk(processes: int) -> dict[str, Any]:
    ranks = range(processes)
    rows = [float(10 * rank + i) for rank in ranks for i in range(3 * rank)]
    return {"sums": [processes, sum(ranks)], "rows": rows, "main": {"path": "ä"}}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What two processes answer to each kind of call, and the config that they trained."""
    folder = tmp_path_factory.mktemp("two")
    make = digits_jobs(folder, **NO_BATCH_NORM)
    odd = {"batch_size": 13}  # 7 and 6 images; 5 and 4 at the end of an epoch
    two = written(make(name="two", data=odd, train={"processes": 2}), folder / "two.yaml")
    tiny = written(make(name="tiny", data={"batch_size": 1}, train={"processes": 2}), folder / "tiny.yaml")
    found, _ = run(folder, 2, ["talk"], ["exact", two], ["train", two], ["refused", tiny])
    assert found[0] == found[1]
    return dict(zip(("talk", "exact", "train", "refused"), found[0], strict=True)), make(name="one", data=odd)


def test_two_processes_exchange_values(answers: Answers) -> None:
    assert answers[0]["talk"] == expected_talk(2)


@pytest.mark.slow
def test_four_processes_exchange_values(tmp_path: Path) -> None:
    assert run(tmp_path, 4, ["talk"])[0] == [[expected_talk(4)]] * 4


def test_two_processes_train_as_one(answers: Answers) -> None:
    together, config = answers[0]["train"], answers[1]
    losses, last = losses_alone(config)
    assert len(losses) == 20
    assert together["losses"] == pytest.approx(losses, rel=5e-5)
    assert together["last"] == pytest.approx(last, rel=1e-4)


def test_evaluation_is_exact_for_sizes_that_do_not_divide(answers: Answers) -> None:
    for count, (shared, alone) in answers[0]["exact"].items():
        assert shared == pytest.approx(alone, rel=1e-6), count
        assert all(shared[name] == alone[name] for name in ("top1", "top5", "macro_f1")), count


def test_a_batch_too_small_to_share_is_refused(answers: Answers) -> None:
    assert "2 processes cannot share batches of 1 image(s)" in answers[0]["refused"]


def test_each_process_draws_its_own_dropout_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The main process draws the masks of a single process; Python and numpy draw the same numbers on all."""
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


@pytest.mark.slow
def test_one_process_computes_features_and_both_read_them(make: Make, tmp_path: Path) -> None:
    probe = {"transfer": {"preset": "linear_probe"}, "data": {"batch_size": 7}}
    losses, _ = losses_alone(make(**probe))
    both = make(name="two", **probe, train={"processes": 2})
    together, said = train(tmp_path, 2, written(both, tmp_path / "two.yaml"))
    assert together[0]["losses"] == pytest.approx(losses, rel=1e-5)
    assert said.count("feature cache: on") == 1


@pytest.mark.slow
def test_a_dead_process_ends_the_job_and_another_number_of_processes_resumes_it(make: Make, tmp_path: Path) -> None:
    config = make(**{**NO_BATCH_NORM, "train": {**NO_BATCH_NORM["train"], "epochs": 4, "processes": 2}})
    job = written(config, tmp_path / "job.yaml")
    _, said = train(tmp_path, 2, job, 6, expect=1)
    folder = RunFolder(config.output_dir / "job")
    assert TrainingState.load(folder.last).epoch == 1
    assert "--resume" in said
    assert "has lost the others" in said
    assert "Traceback" not in said
    (resumed,), _ = train(tmp_path, 1, job, 0, folder.path)
    assert resumed["last"]["epoch"] == 4


@pytest.mark.slow
def test_another_number_of_processes_resumes_in_the_middle_of_an_epoch(make: Make, tmp_path: Path) -> None:
    values = {**NO_BATCH_NORM, "train": {**NO_BATCH_NORM["train"], "epochs": 2}}
    whole, _ = losses_alone(make(name="whole", **values))
    config = make(**values)
    with pytest.raises(Interrupted):
        Trainer(build_job(config), [Stops(2)]).fit()
    begun = config.output_dir / "job"
    assert (TrainingState.load(RunFolder(begun).last).step, len(whole)) == (3, 8)
    for folder, processes, message, losses in (
        ("shared", 2, "resuming", whole[3:]),  # the same batches, shared
        ("own", 1, "36 images of this epoch were seen in 3 steps; in batches of 24 that is step 1", None),
    ):
        shutil.copytree(begun, config.output_dir / folder)
        config = make(**{**values, "train": {**values["train"], "processes": processes}})
        job = written(config, tmp_path / f"{folder}.yaml")
        found, said = train(tmp_path, 2, job, 0, config.output_dir / folder)
        assert message in said
        assert found[0]["losses"] == found[1]["losses"]
        if losses:
            assert found[0]["losses"] == pytest.approx(losses, rel=1e-5)
            assert "images of this epoch" not in said
        assert len(found[0]["losses"]) == len(losses or range(3))
        assert found[0]["last"]["epoch"] == 2
