"""The wheel alone: built from a copy of the tree, installed into an environment of its own, used from another folder.

The environment borrows Paddle and everything else from the one that runs the tests, so that nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

PACKED = ("toolkit", "configs", "setup.py", "pyproject.toml", "README.md", "LICENSE")
LENT = [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
QUICK = ("train.device=cpu", "log.visualdl=false", "data.workers=1")


def run(place: Path, *words: object, code: int = 0) -> str:
    """Run a program of an environment from a folder outside the tree; return all its output."""
    home = place.parent / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG_", "VIRTUAL_"))}
    path = os.pathsep.join([str(place.parent / "venv" / "bin"), os.environ["PATH"]])
    environment = {**kept, "HOME": str(home), "PATH": path, "PADDLE_FINETUNE_OFFLINE": "1"}
    done = subprocess.run(
        list(map(str, words)), cwd=place, env=environment, text=True, check=False, timeout=900,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from copies of the files that it is made of."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in PACKED:
        source = repo / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    builds = find_spec("wheel") is not None or find_spec("setuptools.command.bdist_wheel") is not None
    offline = ["--no-index", "--no-build-isolation"] if builds else []
    words = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *offline, "-w", str(folder / "dist"), str(folder)]
    subprocess.run(words, check=True, cwd=folder, env=without_paths())
    [built] = (folder / "dist").iterdir()
    return built


def without_paths() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def install(wheel: Path, folder: Path) -> Path:
    """Make an environment with nothing but the wheel; return its ``site-packages``."""
    venv.create(folder, with_pip=False, symlinks=True)
    words = ["--python", str(folder / "bin/python"), "install", "-q", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True, env=without_paths())
    [site] = folder.glob("lib/python*/site-packages")
    return site


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name needs quotes, beside an environment with the wheel."""
    folder = tmp_path_factory.mktemp("installed")
    site = install(wheel, folder / "venv")
    (site / "lent.pth").write_text("\n".join(map(str, LENT)), encoding="utf-8")
    place = folder / "my 照片"
    draw_images(place / "blue & green")
    (folder / "home").mkdir()
    return place


def draw_images(folder: Path) -> None:
    generator = np.random.default_rng(0)
    for channel, name in enumerate(("blue", "green")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            image = generator.integers(0, 90, (32, 32, 3), dtype=np.uint8)
            image[..., channel] += 150
            cv2.imencode(".png", image)[1].tofile(folder / name / f"{number}.png")


def test_what_it_requires_is_what_setup_py_says(wheel: Path, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path(str(repo / "setup.py"))
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    required = [re.sub("[ ()'\"]", "", words) for words in metadata.get_all("Requires-Dist") or ()]
    assert wheel.name.endswith("-py3-none-any.whl")
    assert {words for words in required if "extra==" not in words} == set(given["install_requires"])
    for extra, names in given["extras_require"].items():
        assert sum(words.endswith(f"extra=={extra}") for words in required) == len(names)


def test_it_works_alone(place: Path, repo: Path) -> None:
    where = run(place, "python", "-c", "import toolkit; print(toolkit.__file__)").strip()
    assert Path(where).is_relative_to(place.parent / "venv")
    assert "paddle-finetune train -c quickstart" in run(place, "paddle-finetune", "configs")
    small = ("train.epochs=1", "transfer.compare=[]", *QUICK)
    shown = run(place, "paddle-finetune", "train", "-c", "quickstart", "--print-config")
    assert re.search(rf"config: {re.escape(str(place.parent))}/venv/\S+/quickstart_source.yaml", shown)
    whole = ("model.pretrained=false", "export.report=false")  # its source task takes a minute
    quickstart = run(place, "paddle-finetune", "train", "-c", "quickstart", *whole, *small)
    assert "paddle-finetune predict" in quickstart
    lenet = ("model.name=lenet", "model.pretrained=false", "data.image_size=28", "transfer.preset=scratch")
    trained = run(place, "paddle-finetune", "train", "blue & green", *lenet, *small)
    run_folder = "runs/blue & green"
    assert f"paddle-finetune predict '{run_folder}" in trained
    check_commands(place, run_folder)
    assert str(repo) not in quickstart + trained


def check_commands(place: Path, run_folder: str) -> None:
    """Use the run with every command that takes one."""
    image = "blue & green/green/0.png"
    [found] = json.loads(stdout_json(run(place, "paddle-finetune", "predict", run_folder, image, "--json")))
    assert set(found["label"]) == {"blue", "green"}
    assert "paddle-finetune" in run(place, "paddle-finetune", "eval", run_folder)
    exported = run(place, "paddle-finetune", "export", run_folder, "--output", "a model")
    assert "paddle-finetune predict 'a model'" in exported
    assert "report.html" in run(place, "paddle-finetune", "report", run_folder)
    assert "green" in run(place, "paddle-finetune", "predict", "a model", image)


def stdout_json(output: str) -> str:
    """The last line, which is the result: messages come before it."""
    return output.strip().splitlines()[-1]


def test_without_paddle_one_line_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    site = install(wheel, tmp_path / "venv")
    place = tmp_path / "place"
    place.mkdir()
    (tmp_path / "home").mkdir()
    for folder in LENT:
        for path in folder.iterdir():
            if not path.name.startswith("paddle") and not (site / path.name).exists():
                (site / path.name).symlink_to(path)
    said = run(place, "paddle-finetune", "models", code=1)
    assert said.count("\n") == 1
    assert 'Paddle is not installed: pip install "paddle-finetune[cpu]"' in said
