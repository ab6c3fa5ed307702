"""The tools as a user calls them: one job on handwritten digits from training to prediction."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

TOOLS = Path(__file__).resolve().parents[2] / "tools"
JOB = """
model: {name: lenet, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 60, image_size: 28, batch_size: 16, val_fraction: 0.2}
transfer: scratch
train: {epochs: 5, device: cpu}
export: {examples: 3}
"""

Run = Callable[..., tuple[int, str, str]]
Result = Callable[..., Any]


def run_process(tool: str, *arguments: object) -> tuple[int, str, str]:
    words = [sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout, done.stderr


def read_result(run: Run, *arguments: object) -> Any:
    code, out, err = run(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


@pytest.fixture(scope="session")
def result_of(run_here: Run) -> Result:
    """``result_of("train", "-c", ...)`` is what the tool prints with ``--json``."""
    return lambda *arguments: read_result(run_here, *arguments)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, result_of: Result) -> tuple[Path, dict[str, Any]]:
    """A folder with one trained and exported run, and the result of train.py."""
    folder = tmp_path_factory.mktemp("工作")
    (folder / "job.yaml").write_text(JOB)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return folder, result_of("train", "-c", "job.yaml", "-o", "name=数字")


@pytest.fixture
def trained(work: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The result of train.py; the run is in ``runs/数字``."""
    monkeypatch.chdir(work[0])
    return work[1]


def write_digits(folder: Path) -> list[str]:
    """Write 20 images, ``00.png`` to ``19.png``, and return their labels."""
    folder.mkdir()
    digits = load_digits()
    rows = np.flatnonzero(digits.target < 2)[-20:]
    for number, row in enumerate(rows):
        data = cv2.imencode(".png", (digits.images[row] * 255 / 16).astype("uint8"))[1]
        (folder / f"{number:02d}.png").write_bytes(data.tobytes())
    return [str(digits.target[row]) for row in rows]


def check_training(result: dict[str, Any]) -> None:
    assert result["run_dir"] == "runs/数字"
    for key in ("best", "last"):
        assert set(result[key]) == {"top1", "top5", "macro_f1", "loss", "epoch"}
    assert result["parameters"]["total"] == result["parameters"]["trainable"] + result["parameters"]["frozen"]
    assert result["seconds"] > 0
    assert result["best"]["top1"] >= 0.8
    assert len(result["examples"]) == 3
    assert Path(result["inference"], "inference.yml").is_file()


def check_evaluation(found: dict[str, Any], result: dict[str, Any]) -> None:
    assert found["split"] == "val"
    for name in ("top1", "top5", "macro_f1"):
        assert found[name] == result["best"][name]
    assert found["loss"] == pytest.approx(result["best"]["loss"], rel=1e-3)


def check_predictions(found: list[dict[str, Any]], truths: list[str]) -> None:
    assert [Path(item["path"]).name for item in found] == [f"{number:02d}.png" for number in range(20)]
    assert all(set(item["label"]) == {"0", "1"} for item in found)
    assert all(item["confidence"][0] >= item["confidence"][1] for item in found)
    assert all(sum(item["confidence"]) == pytest.approx(1, abs=1e-4) for item in found)
    assert np.mean([item["label"][0] == truth for item, truth in zip(found, truths, strict=True)]) >= 0.8


def test_train_prints_its_result(trained: dict[str, Any]) -> None:
    check_training(trained)


def test_eval_repeats_the_metrics_of_the_best_epoch(trained: dict[str, Any], result_of: Result) -> None:
    check_evaluation(result_of("eval", "-c", "runs/数字/config.yaml"), trained)


def test_export_and_predict(trained: dict[str, Any], run_here: Run, result_of: Result, tmp_path: Path) -> None:
    model, images = tmp_path / "model", tmp_path / "图"
    said = result_of("export", "-c", "runs/数字/config.yaml", "--output", model)
    assert said["inference"] == str(model)
    truths = write_digits(images)
    found = result_of("predict", "--model", model, images, "--topk", 2)
    check_predictions(found, truths)
    _, table, _ = run_here("predict", "--model", "runs/数字", images / "00.png", "--csv")
    assert next(csv.DictReader(io.StringIO(table)))["label"] == found[0]["label"][0]

    (images / "05.png").write_text("<html>")
    (images / "zz.png").write_bytes((images / "00.png").read_bytes()[:60])
    code, out, err = run_here("predict", "--model", model, images, "--topk", 2, "--json")
    assert code == 1
    again = json.loads(out)
    assert [item for item in again if "error" not in item] == found[:5] + found[6:]
    assert [Path(item["path"]).name for item in again if "error" in item] == ["05.png", "zz.png"]
    last = err.splitlines()[-2:]
    assert last[0].startswith("error: cannot read image")
    assert last[0].endswith("05.png: not an image")
    assert "zz.png: damaged" in last[1]
    code, out, err = run_here("predict", "--model", model, images / "05.png")
    assert (code, out) == (1, "")
    assert "05.png: not an image" in err
    code, table, _ = run_here("predict", "--model", model, images / "05.png", images / "00.png", "--csv")
    assert code == 1
    bad = next(row for row in csv.DictReader(io.StringIO(table)) if row["path"].endswith("05.png"))
    assert [value for name, value in bad.items() if name != "path" and value] == []


def test_a_file_name_that_is_not_utf8_survives_json(trained: dict[str, Any], tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(path).write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    assert read_result(run_process, "predict", "--model", "runs/数字", path)[0]["path"] == path


@pytest.mark.slow
def test_each_tool_in_a_process_of_its_own(tmp_path: Path) -> None:
    Path("job.yaml").write_text(JOB)
    result = read_result(run_process, "train", "-c", "job.yaml", "-o", "name=数字")
    check_training(result)
    check_evaluation(read_result(run_process, "eval", "runs/数字"), result)
    assert read_result(run_process, "export", "runs/数字", "--output", "model")["inference"] == "model"
    truths = write_digits(tmp_path / "图")
    check_predictions(read_result(run_process, "predict", "model", "图", "--topk", 2), truths)
    assert read_result(run_process, "train", "runs/数字")["best"] == result["best"]
    code, out, err = run_process("train", "-c", "job.yaml", "-o", "data.image_size=16")
    assert (code, out) == (1, "")
    assert "error: lenet cannot take images of 16 pixels" in err


def test_print_config_shows_the_resolved_one(trained: dict[str, Any], run_here: Run) -> None:
    code, out, _ = run_here("train", "-c", "job.yaml", "--print-config", "-o", "train.lr=0.5")
    assert code == 0
    assert "lr: 0.5" in out
    assert "batch_size: 16" in out


@pytest.mark.parametrize(
    "words", [("advise",), ("compare",), ("find_lr",), ("eval",), ("train",), ("train", "--resume")]
)
def test_a_run_brings_its_config(trained: dict[str, Any], result_of: Result, words: tuple[str, ...]) -> None:
    found = result_of(*words, "runs/数字", "--print-config")
    assert (found["name"], found["train"]["epochs"], found["data"]["samples_per_class"]) == ("数字", 5, 60)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "-c", "none.yaml"), 2, "cannot read the config none.yaml"),
        (("train", "-c", "job.yaml", "-o", "train.epocs=3"), 2, "did you mean epochs?"),
        (("train", "-c", "job.yaml", "-o", "model.name=resnet51"), 2, "resnet50"),
        (("train", "-c", "job.yaml", "-o", "data.format=folder", "-o", "data.root=nowhere"), 2, "nowhere"),
        (("train", "-c", "job.yaml", "-o", "data.image_size=16"), 1, "at least 28"),
        (("train", "-c", "job.yaml", "-o", "callbacks.checkpoint.monitor=val/acuracy"), 2, "val/top1"),
        (("train", "-c", "job.yaml", "-o", "model.pretrained=job.yaml", "-o", "transfer=all_stages"), 1, "job.yaml"),
        (("train", "-c", "job.yaml", "-o", "callbacks.custom=[no.such.Callback]"), 2, "no module 'no'"),
        (("train", "--resume", "runs/none"), 2, "runs/none: no run here"),
        (("train", "--resume", "runs/数字", "-o", "seed=9"), 2, "another seed: 0, not 9"),
        (("train",), 2, "no configuration was given"),
        (("eval", "-c", "job.yaml", "-o", "name=never"), 1, "train first"),
        (("predict", "--model", "nowhere", "x.png"), 1, "x.png"),
        (("predict", "--network", "resnet18", "x.png"), 1, "x.png"),
        (("predict", "x.png"), 2, "x.png is neither a run nor an exported model"),
        (("predict", "runs/数字"), 2, "no image was given"),
        (("predict", "runs/数字/config.yaml", "x.png"), 1, "x.png"),
        (("train", "runs/none"), 2, "runs/none: no run here"),
        (("eval", "-c", "runs"), 2, "runs: no run here"),
        (("eval", "job.yaml"), 2, "-c job.yaml"),
        (("compare", "runs"), 2, "runs: no run here"),
        (("find_lr", "runs/数字", "-c", "job.yaml"), 2, "both a run (runs/数字) and a config (job.yaml)"),
        (("train", "runs/数字", "--resume", "runs/none"), 2, "two runs were given: runs/数字 and runs/none"),
        (("predict", "--model", "runs/数字", "--device", "tpu", "x.png"), 2, "expected auto, cpu, gpu"),
    ],
)
def test_bad_input_is_one_clear_line(
    trained: dict[str, Any], run_here: Run, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = sorted(Path("runs").iterdir())
    found, out, err = run_here(*arguments)
    assert (found, out) == (code, ""), err
    assert words in err
    assert "Traceback" not in err
    assert sorted(Path("runs").iterdir()) == before


def test_a_finished_run_named_to_train_is_resumed(trained: dict[str, Any], result_of: Result) -> None:
    for words in (["runs/数字"], ["runs/数字/config.yaml"], ["runs/数字", "--resume", "auto"]):
        assert result_of("train", *words)["best"] == trained["best"]
    assert [path.name for path in Path("runs").iterdir()] == ["数字"]


def test_a_run_without_a_whole_epoch_is_not_taken_for_another(tmp_path: Path) -> None:
    from toolkit.commands.runs import find_run
    from toolkit.config import load_config
    from toolkit.core.errors import TrainingError
    from toolkit.core.files import write_text
    from toolkit.engine import RunFolder
    from toolkit.engine.runs.trained import load_trained

    job = tmp_path / "job.yaml"
    job.write_text(JOB, encoding="utf-8")
    config = load_config(job)
    trained, begun = RunFolder.create(config), RunFolder.create(config)
    for path in (trained.record, trained.best, begun.record, begun.last):
        write_text(path, "{}")
    assert find_run(None, job).folder.path == trained.path
    assert find_run(None, trained.config).folder.path == find_run(trained.path, None).folder.path == trained.path
    with pytest.raises(TrainingError, match=r"resume with: .*--resume runs/job-2$"):
        load_trained(find_run(None, begun.config).folder)


def test_sigterm_ends_a_tool_like_ctrl_c(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, time\n"
        "from toolkit.commands import app\n"
        "from toolkit.core.files import atomic_folder\n"
        "def job(args):\n"
        "    with atomic_folder(pathlib.Path('model')):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        time.sleep(5)\n"
        "app.run(app.make_parser('x'), job, ['--json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "interrupted"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("tool", sorted(path.stem for path in TOOLS.glob("*.py")))
def test_every_tool_has_json(tool: str, run_here: Run) -> None:
    code, out, err = run_here(tool, "--help")
    assert (code, err) == (0, "")
    assert "--json" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "--network", "resnet51", "x.png"),
        ("advise", "--images", ".", "--network", "resnet51"),
        ("compare", "-c", "job.yaml", "--networks", "resnet18, resnet51=true"),
        ("find_lr", "-c", "job.yaml", "-o", "model.name=resnet51"),
        ("models", "resnet51"),
    ],
)
def test_an_unknown_network_is_refused_before_paddle_is_imported(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "paddle.py").write_text("raise SystemExit('paddle was imported')\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    (tmp_path / "job.yaml").write_text(JOB)
    code, out, err = run_process(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: unknown network 'resnet51'; did you mean resnet50")
