"""What ``conftest.py`` provides for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW = """
import os
from toolkit.core.runtime import cpu_settings

def test_threads():
    assert cpu_settings().threads == os.environ["OMP_NUM_THREADS"] == "{expected}"
"""


REAL = """
import pytest

@pytest.fixture
def weights():
    "A fixture of its own."

def test_plain(tmp_path, weights): ...
def test_images(assets): ...

class TestWeights:
    def test_of_a_network(self, tmp_path, request, assets_folder): ...
"""


def test_what_depends_on_assets_is_marked(tmp_path: Path) -> None:
    (tmp_path / "test_real.py").write_text(REAL, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q", "."]
    nowhere = {**os.environ, "TOOLKIT_ASSETS": str(tmp_path / "none")}
    for mark, expected in (("assets", "1 passed, 1 skipped, 1 deselected"), ("not assets", "1 passed, 2 deselected")):
        done = subprocess.run([*command, "-m", mark], capture_output=True, text=True, check=False, env=nowhere)
        assert expected in done.stdout, done.stdout + done.stderr
        assert ("1 tests on real images and weights did NOT run" in done.stdout) is (mark == "assets")


@pytest.mark.multiprocess
@pytest.mark.parametrize(("theirs", "expected"), [({}, "1"), ({"OMP_NUM_THREADS": "3"}, "3")])
def test_processes_of_a_parallel_run_have_a_thread_each(tmp_path: Path, theirs: dict[str, str], expected: str) -> None:
    pytest.importorskip("xdist")
    (tmp_path / "test_shown.py").write_text(SHOW.format(expected=expected), encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n", "1", "-q", "."]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean | theirs)
    assert done.returncode == 0, done.stdout + done.stderr
