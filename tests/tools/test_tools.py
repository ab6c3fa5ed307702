"""The tools as a user calls them: one job on handwritten digits from training to prediction."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

TOOLS = Path(__file__).resolve().parents[2] / "tools"
JOB = """
model: {name: resnet18, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 60, image_size: 32, batch_size: 16, val_fraction: 0.2}
transfer: scratch
train: {epochs: 5, device: cpu}
export: {examples: 3}
"""


def call(tool: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, encoding="utf-8", cwd=cwd, check=False)


def call_json(tool: str, *arguments: object, cwd: Path) -> Any:
    done = call(tool, *arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with one trained and exported run, and what train.py said of it."""
    folder = tmp_path_factory.mktemp("工作")
    (folder / "job.yaml").write_text(JOB)
    return folder, call_json("train", "-c", "job.yaml", "-o", "name=数字", cwd=folder)


def test_train_says_what_came_out(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    assert result["run_dir"] == "runs/数字"
    for key in ("best", "last"):
        assert set(result[key]) == {"top1", "top5", "macro_f1", "loss", "epoch"}
    assert result["parameters"]["total"] == result["parameters"]["trainable"] + result["parameters"]["frozen"]
    assert result["seconds"] > 0
    assert result["best"]["top1"] >= 0.8
    assert len(result["examples"]) == 3
    assert (folder / result["inference"] / "inference.yml").is_file()


def test_eval_gives_the_best_epochs_metrics_again(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    found = call_json("eval", "-c", "runs/数字/config.yaml", cwd=folder)
    assert found["split"] == "val"
    for name in ("top1", "top5", "macro_f1"):
        assert found[name] == result["best"][name]
    assert found["loss"] == pytest.approx(result["best"]["loss"], rel=1e-3)


def test_export_and_predict(trained: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = trained
    said = call_json("export", "-c", "runs/数字/config.yaml", "--output", tmp_path / "model", cwd=folder)
    assert said["inference"] == str(tmp_path / "model")
    digits = load_digits()
    pictures = tmp_path / "图"
    pictures.mkdir()
    truths = []
    for number, row in enumerate(np.flatnonzero(digits.target < 2)[-20:]):
        data = cv2.imencode(".png", (digits.images[row] * 255 / 16).astype("uint8"))[1]
        (pictures / f"{number:02d}.png").write_bytes(data.tobytes())
        truths.append(str(digits.target[row]))
    found = call_json("predict", "--model", tmp_path / "model", pictures, "--topk", 2, cwd=folder)
    assert [Path(item["path"]).name for item in found] == [f"{number:02d}.png" for number in range(20)]
    assert all(set(item["label"]) == {"0", "1"} for item in found)
    assert all(item["confidence"][0] >= item["confidence"][1] for item in found)
    assert all(sum(item["confidence"]) == pytest.approx(1, abs=1e-4) for item in found)
    assert np.mean([item["label"][0] == truth for item, truth in zip(found, truths, strict=True)]) >= 0.8
    table = call("predict", "--model", "runs/数字", pictures / "00.png", "--csv", cwd=folder)
    rows = list(csv.DictReader(io.StringIO(table.stdout)))
    assert rows[0]["label"] == found[0]["label"][0]

    (pictures / "05.png").write_text("<html>")
    (pictures / "zz.png").write_bytes((pictures / "00.png").read_bytes()[:60])
    done = call("predict", "--model", tmp_path / "model", pictures, "--topk", 2, "--json", cwd=folder)
    assert done.returncode == 1
    again = json.loads(done.stdout)
    assert [item for item in again if "error" not in item] == found[:5] + found[6:]
    assert [Path(item["path"]).name for item in again if "error" in item] == ["05.png", "zz.png"]
    last = done.stderr.splitlines()[-2:]
    assert last[0].startswith("error: cannot read image")
    assert last[0].endswith("05.png: not an image")
    assert "zz.png: damaged" in last[1]
    alone = call("predict", "--model", tmp_path / "model", pictures / "05.png", cwd=folder)
    assert alone.returncode == 1
    assert alone.stdout == ""
    assert "05.png: not an image" in alone.stderr
    table = call(
        "predict", "--model", tmp_path / "model", pictures / "05.png", pictures / "00.png", "--csv", cwd=folder
    )
    assert table.returncode == 1
    bad = next(row for row in csv.DictReader(io.StringIO(table.stdout)) if row["path"].endswith("05.png"))
    assert [value for name, value in bad.items() if name != "path" and value] == []


def test_a_file_name_that_is_not_utf8_comes_back_from_json(
    trained: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    Path(path).write_bytes(cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes())
    found = call_json("predict", "--model", "runs/数字", path, cwd=trained[0])
    assert found[0]["path"] == path


def test_print_config_shows_the_resolved_one(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = trained
    done = call("train", "-c", "job.yaml", "--print-config", "-o", "train.lr=0.5", cwd=folder)
    assert done.returncode == 0
    assert "lr: 0.5" in done.stdout
    assert "batch_size: 16" in done.stdout


@pytest.mark.parametrize(
    "words", [("advise",), ("compare",), ("find_lr",), ("eval",), ("train",), ("train", "--resume")]
)
def test_a_run_brings_its_config(trained: tuple[Path, dict[str, Any]], words: tuple[str, ...]) -> None:
    found = call_json(*words, "runs/数字", "--print-config", cwd=trained[0])
    assert (found["name"], found["train"]["epochs"], found["data"]["samples_per_class"]) == ("数字", 5, 60)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("train", "-c", "none.yaml"), 2, "cannot read the config none.yaml"),
        (("train", "-c", "job.yaml", "-o", "train.epocs=3"), 2, "did you mean epochs?"),
        (("train", "-c", "job.yaml", "-o", "model.name=resnet51"), 2, "resnet50"),
        (("train", "-c", "job.yaml", "-o", "data.format=folder", "-o", "data.root=nowhere"), 2, "nowhere"),
        (("train", "-c", "job.yaml", "-o", "data.image_size=16"), 1, "at least 32"),
        (("train", "-c", "job.yaml", "-o", "callbacks.checkpoint.monitor=val/acuracy"), 2, "val/top1"),
        (("train", "-c", "job.yaml", "-o", "model.pretrained=job.yaml", "-o", "transfer=finetune"), 1, "job.yaml"),
        (("train", "-c", "job.yaml", "-o", "callbacks.custom=[no.such.Callback]"), 2, "no module 'no'"),
        (("train", "--resume", "runs/none"), 2, "runs/none: no run here"),
        (("train", "--resume", "runs/数字", "-o", "seed=9"), 2, "another seed: 0, not 9"),
        (("train",), 2, "-c"),
        (("eval", "-c", "job.yaml", "-o", "name=never"), 1, "train first"),
        (("predict", "--model", "nowhere", "x.png"), 1, "x.png"),
        (("predict", "--network", "resnet18", "x.png"), 1, "x.png"),
        (("predict", "x.png"), 2, "x.png is neither a run nor an exported model"),
        (("predict", "runs/数字"), 2, "no image was given"),
        (("predict", "runs/数字/config.yaml", "x.png"), 1, "x.png"),
        (("train", "runs/none"), 2, "runs/none: no run here"),
        (("eval", "-c", "runs"), 2, "runs: no run here"),
        (("eval", "job.yaml"), 2, "-c job.yaml"),
        (("advise", "job.yaml"), 2, "-c job.yaml"),
        (("compare", "runs"), 2, "runs: no run here"),
        (("find_lr", "runs/数字", "-c", "job.yaml"), 2, "both a run (runs/数字) and a config (job.yaml)"),
        (("train", "runs/数字", "--resume", "runs/none"), 2, "two runs were given: runs/数字 and runs/none"),
        (("predict", "--model", "runs/数字", "--device", "tpu", "x.png"), 2, "expected auto, cpu, gpu"),
    ],
)
def test_bad_input_is_one_clear_line(
    trained: tuple[Path, dict[str, Any]], arguments: tuple[str, ...], code: int, words: str
) -> None:
    folder, _ = trained
    before = sorted(folder.glob("runs/*"))
    done = call(*arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    assert sorted(folder.glob("runs/*")) == before


def test_a_finished_run_named_to_train_is_resumed(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, result = trained
    for words in (["runs/数字"], ["runs/数字/config.yaml"], ["runs/数字", "--resume", "auto"]):
        assert call_json("train", *words, cwd=folder)["best"] == result["best"]
    assert [path.name for path in (folder / "runs").iterdir()] == ["数字"]


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
def test_help_does_not_import_paddle(tool: str, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{tool}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path({str(TOOLS / (tool + '.py'))!r}, run_name='__main__')\n"
        "except SystemExit as done:\n"
        "    assert not done.code\n"
        "assert 'paddle' not in sys.modules, 'paddle was imported'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "--json" in done.stdout


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
    done = call(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: unknown network 'resnet51'; did you mean resnet50")
