"""Ctrl-C and SIGTERM at any moment, and images that never arrive: one signal ends a tool, quietly, with code 130."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SIGNALS = [signal.SIGINT, signal.SIGTERM]

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


def start(*words: object) -> subprocess.Popen[str]:
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# found before the real module; its import lasts until the file exists
_SLOW = """
import os, time
os.write(2, b'importing\\n')
while not os.path.exists({!r}):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("module", ["argparse", "numpy", "paddle", "cv2"])
def test_a_signal_during_imports_is_one_quiet_line(
    module: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = tmp_path / "sent"
    (tmp_path / f"{module}.py").write_text(_SLOW.format(str(sent)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    config = tmp_path / "job.yaml"
    config.write_text("name: x\nmodel: {name: mobilenet_v1, pretrained: false}\ndata: {format: digits}\n")
    process = start(TOOLS / "train.py", "-c", config)
    assert process.stderr is not None
    for line in process.stderr:
        if line == "importing\n":
            break
    process.send_signal(number)
    sent.touch()
    out, said = process.communicate(timeout=60)
    assert (process.returncode, out, said) == (130, "", "interrupted\n")


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A named pipe among images: opening it blocks until there is a writer."""
    for name in ("a", "b", "d"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((32, 32, 3), np.uint8))
    os.mkfifo(tmp_path / "c.png")
    return tmp_path / "c.png"


_PREDICT = """
import os, sys, threading
from pathlib import Path
import toolkit
import numpy as np
from toolkit.commands import app
from toolkit.data import Preprocessing, pool
from toolkit.deploy.image_predictor import ImagePredictor
pool._PATIENCE = 0.2
class Mean(ImagePredictor):
    def outputs(self, images, batch_size=8):
        return np.full((len(images), 2), 0.5, np.float32)
def main(args):
    os.write(2, b"predicting\\n")
    paths = sorted(Path(args.images).glob("*.png"))
    Mean(["x", "y"], Preprocessing(32)).predict(paths, on_bad_image="keep", timeout=args.timeout)
    return app.Outcome({})
parser = app.make_parser("x", timeout=300)
parser.add_argument("images")
app.run(parser, main)
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_one_signal_ends_a_prediction_that_waits_for_an_image(number: int, pipe: Path) -> None:
    process = start("-c", _PREDICT, pipe.parent)
    assert process.stderr is not None
    while process.stderr.readline() != "predicting\n":
        pass
    time.sleep(0.2)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "interrupted\n")


def test_an_image_that_never_arrives_ends_a_prediction_with_an_error(pipe: Path) -> None:
    process = start("-c", _PREDICT, pipe.parent, "--timeout", 0.5)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"error: no image could be read for 0.5 s; in progress: {pipe}" in said.replace("\n", " ").replace("'", "")
    assert "--timeout" in said
