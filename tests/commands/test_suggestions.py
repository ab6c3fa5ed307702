"""Every command suggests the next one, quoted for the shell."""

from __future__ import annotations

import re
import shlex
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.jobs import untrained_weights
from toolkit.commands import app, cli

RUNS = Path(__file__).parents[1] / "assets" / "runs_of_0.1.0.tar.xz"
JOB = """
model: {name: mobilenet_v1_x0_25, pretrained: false}
data: {format: digits, classes: [0, 1], samples_per_class: 12, image_size: 32, batch_size: 6, val_fraction: 0.2}
transfer: scratch
train: {device: cpu}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs in ``my runs 数``, a job, and an image."""
    monkeypatch.setattr("toolkit.core.console._program", lambda: ("paddle-finetune",))
    with tarfile.open(RUNS) as archive:
        archive.extractall(tmp_path, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(tmp_path)
    (tmp_path / "runs").rename(tmp_path / "my runs 数")
    (tmp_path / "my job.yaml").write_text(JOB, encoding="utf-8")
    cv2.imencode(".png", np.full((8, 8), 99, np.uint8))[1].tofile(tmp_path / "an image.png")
    return tmp_path


def suggested(output: str) -> list[list[str]]:
    """The commands in an output, in words; checks that each could be run."""
    lines = re.findall(r"paddle-finetune (.*?)(?:   |$)", output, re.MULTILINE)
    found = [shlex.split(line) for line in lines]
    for name, *words in found:
        known = cli.COMMANDS[name]
        parser = app.make_parser("", target=known.target, timeout=known.timeout)
        known.arguments(parser)
        parser.parse_intermixed_args(words)
    return found


FINISHED = "my runs 数/finished"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["configs"], [["train", "-c", "quickstart"]]),
        (["models", "--filter", "vgg13"], [["models", "vgg13"], ["train", "FOLDER", "model.name=vgg13"]]),
        (["models", "lenet"], [["train", "FOLDER", "model.name=lenet"]]),
        (["eval", FINISHED], [["predict", FINISHED, "IMAGE"]]),
        (["eval", "my runs 数/interrupted"], [["export", "my runs 数/interrupted"]]),
        (["export", FINISHED, "--output", "a model"], [["predict", "a model", "IMAGE"]]),
        (["report", FINISHED], [["predict", FINISHED, "IMAGE"]]),
        (["predict", FINISHED, "an image.png"], [["eval", FINISHED, "--data", "FOLDER"]]),
        (["train", FINISHED], [["predict", FINISHED, "IMAGE"], ["dashboard", FINISHED]]),
        (
            ["find_lr", "my job.yaml", "name=a b", "--steps", "20"],
            [["train", "-c", "my job.yaml", "name=a b", "train.lr=*"]],
        ),
    ],
)  # fmt: skip
def test_what_comes_next(
    words: list[str], expected: list[list[str]], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "train":
        (place / FINISHED / "vdl").mkdir()
    cli.main(words[0], words[1:])
    found = [[re.sub(r"^(train.lr=).*", r"\1*", word) for word in each] for each in suggested(capfd.readouterr().out)]
    assert found == expected


def test_advice_is_followed_by_training(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    weights = untrained_weights("squeezenet1_1", None, place).rename(place / "w 1.pdparams")
    for name in ("a", "b"):
        (place / "my photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.random.default_rng([ord(name), number]).integers(0, 255, (40, 40, 3), dtype=np.uint8)
            cv2.imencode(".png", pixels)[1].tofile(place / "my photos" / name / f"{name}{number}.png")
    values = ["model.name=squeezenet1_1", f"model.pretrained={weights.name}", "data.image_size=64"]
    cli.main("advise", ["my photos", *values])
    assert suggested(capfd.readouterr().out)[-1] == ["train", "my photos", *values, "transfer.preset=auto"]
    cli.main("advise", ["my photos", *values, "--out", "my advice.yaml"])
    assert suggested(capfd.readouterr().out)[-1] == ["train", "-c", "my advice.yaml"]
    cli.main("advise", ["--images", "my photos", "--network", "squeezenet1_1", "--weights", weights.name])
    assert suggested(capfd.readouterr().out)[-1] == ["train", "FOLDER", "model.name=squeezenet1_1"]


def test_the_cache_is_named_unless_it_is_the_usual_one(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cli.main("cache", ["list", "--dir", "cache"])
    said = suggested(capfd.readouterr().out)
    assert said == [["cache", "prune", "--max-size", "5GB", "--dir", "cache"], ["cache", "verify", "--dir", "cache"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict", "x", "--topk", "0"], "--topk is 0"),
        (["predict", "x", "--device", "tpu"], "--device is tpu"),
        (["predict", FINISHED], "no image was given"),
        (["predict", FINISHED, "no.png"], "no.png does not exist"),
        (["predict", "here", "no.png"], "no model was given"),
        (["advise"], "nothing to advise on"),
        (["advise", "--images", "."], "needs a network"),
        (["advise", "my job.yaml", "--sample", "0"], "--sample is 0"),
    ],
)
def test_bad_arguments_are_refused_before_paddle_is_imported(
    words: list[str], message: str, place: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.commands.app.import_paddle", lambda: pytest.fail("Paddle was imported"))
    with pytest.raises(SystemExit):
        cli.main(words[0], words[1:])
    assert message in capfd.readouterr().err
