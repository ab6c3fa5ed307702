"""What is installed: all files of the package, not only its modules."""

from __future__ import annotations

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

FOLDERS = {"toolkit.configs": "configs"}
"""Package -> its folder, where the names differ."""


def packed(repo: Path) -> dict[str, list[str]]:
    """``package_data`` of ``setup.py``, read without running it."""
    tree = ast.parse((repo / "setup.py").read_text(encoding="utf-8"))
    [found] = [node.value for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "package_data"]
    data: dict[str, list[str]] = ast.literal_eval(found)
    return data


def test_files_beside_the_modules_are_packed(repo: Path) -> None:
    patterns = [f"{name.replace('.', '/')}/{each}" for name, some in packed(repo).items() for each in some]
    taken = {path for pattern in patterns for path in repo.glob(pattern)}
    files = {path for path in (repo / "toolkit").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert files - taken - set((repo / "toolkit").rglob("*.py")) == set()


def test_every_pattern_finds_something(repo: Path) -> None:
    empty = [
        f"{name}: {each}"
        for name, some in packed(repo).items()
        for each in some
        if not any(repo.glob(f"{FOLDERS.get(name, name.replace('.', '/'))}/{each}"))
    ]
    assert not empty


def test_every_folder_with_modules_is_a_package(repo: Path) -> None:
    folders = {path.parent for path in (repo / "toolkit").rglob("*.py")}
    assert not [path for path in folders if not (path / "__init__.py").is_file()]


def metadata(repo: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What ``setup.py`` hands to setuptools."""
    given: dict[str, Any] = {}
    monkeypatch.setattr("setuptools.setup", given.update)
    runpy.run_path(str(repo / "setup.py"))
    return given


def test_a_wheel_never_replaces_a_build_of_paddle_or_opencv(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = metadata(repo, monkeypatch)
    assert not [name for name in given["install_requires"] if re.match("paddle|opencv", name)]
    assert {"paddlepaddle>=2.6.2", "opencv-python-headless"} <= set(given["extras_require"]["all"])


MODULES_OF = {
    "opencv-python-headless": "cv2", "paddlepaddle": "paddle", "pillow": "PIL", "pyyaml": "yaml",
    "scikit-learn": "sklearn", "typing-extensions": "typing_extensions",
}  # fmt: skip
"""Distribution -> the module that it brings, where the names differ."""
BROUGHT_ALONG = {"paddleclas": "the clas extra says how it is installed"}


def test_what_is_imported_is_declared(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = metadata(repo, monkeypatch)
    wanted = [*said["install_requires"], *(name for extra in said["extras_require"].values() for name in extra)]
    names = [re.split(r"[<>=;\[]", name)[0] for name in wanted]
    declared = {MODULES_OF.get(name, name) for name in names} | set(sys.stdlib_module_names) | {"toolkit"}
    imported: dict[str, str] = {}
    for path in (repo / "toolkit").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            imported.update({name.partition(".")[0]: str(path) for name in found})
    assert {name: path for name, path in imported.items() if name not in declared | BROUGHT_ALONG.keys()} == {}


def test_opencv_is_brought_by_two_extras_only(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extras = metadata(repo, monkeypatch)["extras_require"]
    assert {name for name, some in extras.items() if any("opencv" in each for each in some)} == {"all", "opencv"}


def test_what_is_declared_does_not_depend_on_what_is_installed(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = metadata(repo, monkeypatch)
    for name in ("paddle", "cv2", "numpy", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert metadata(repo, monkeypatch) == usual


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("there", "extras"),
    [((), "fast,cpu,opencv"), (("paddle",), "fast,opencv"), (("cv2",), "fast,cpu"), (("paddle", "cv2"), "fast")],
)
def test_make_keeps_builds_that_are_installed(there: tuple[str, ...], extras: str, repo: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    [site] = (tmp_path / "venv").glob("lib/python*/site-packages")
    for name in there:
        (site / f"{name}.py").touch()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MAKEFLAGS")}
    for target, more in (("install", f"{extras},onnx"), ("dev", f"dev,{extras}")):
        words = ["make", "--dry-run", target, f"VENV={tmp_path / 'venv'}"]
        done = subprocess.run(words, cwd=repo, env=environment, capture_output=True, text=True, check=True)
        assert f'install -e ".[{more}]"' in done.stdout
