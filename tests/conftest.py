"""What every test stands on: a home of its own, fixed seeds, and the way to real images and weights.

Tests that need real images or weights take the fixture ``assets`` or ``weights``. They look into the folder that
``TOOLKIT_ASSETS`` names, or ``shared/assets`` beside this clone, and are skipped, loudly, where there is none. They,
and those that only do otherwise there (``assets_folder``), have the mark ``assets``.
"""

from __future__ import annotations

import gc
import os
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[1]
ASSETS_MISSING = "test assets are missing"

# Before Paddle is imported: caches go to a home that is thrown away.
_HOME = Path(tempfile.mkdtemp(prefix="toolkit-home-"))
os.environ.update(
    HOME=str(_HOME),
    USERPROFILE=str(_HOME),
    XDG_CACHE_HOME=str(_HOME / ".cache"),
    XDG_CONFIG_HOME=str(_HOME / ".config"),
    XDG_DATA_HOME=str(_HOME / ".local/share"),
    MPLCONFIGDIR=str(_HOME / ".matplotlib"),
    MPLBACKEND="Agg",
    PYTHONPATH=os.pathsep.join(filter(None, [str(REPO), os.environ.get("PYTHONPATH")])),
)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it

from toolkit.core.runtime import cpu_settings  # noqa: E402 - sets Paddle's environment


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Before the processes of a parallel run begin: they share the cores, unless the user has set the threads."""
    if cpu_settings().threads_from == "toolkit":
        os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(tryfirst=True)  # before marks choose
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests for which it matters whether there are assets."""
    for item in items:
        if "assets_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("assets")


def pytest_collection_finish() -> None:
    """Exempt what imports created from garbage collection, which the toolkit requests after each run."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Throw the home away."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of assets: a green run without them proves less."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if ASSETS_MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests on real images and weights did NOT run: {ASSETS_MISSING}; set TOOLKIT_ASSETS",
            yellow=True,
            bold=True,
        )


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths (``runs/``) end in the test's own folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "paddle" in sys.modules:
        sys.modules["paddle"].seed(0)


@pytest.fixture(scope="session")
def repo() -> Path:
    """Root of this clone."""
    return REPO


@pytest.fixture(scope="session")
def assets_folder() -> Path:
    """Where real images (``datasets/``) and weights (``weights/``) are, or would be."""
    return Path(os.environ.get("TOOLKIT_ASSETS") or REPO.parent / "shared" / "assets").resolve()


@pytest.fixture(scope="session")
def assets(assets_folder: Path) -> Path:
    """Folder of real images (``datasets/``) and weights (``weights/``); skips where it is not."""
    if not (assets_folder / "datasets").is_dir():
        pytest.skip(f"{ASSETS_MISSING}: {assets_folder}/datasets does not exist")
    return assets_folder


@pytest.fixture(scope="session")
def weights(assets: Path) -> Callable[[str], Path]:
    """``weights("mobilenet_v2")`` is the path of real ImageNet weights for that network; skips where it is not."""

    def find(network: str) -> Path:
        found = sorted((assets / "weights").glob(f"{network}*.pdparams"))
        if not found:
            pytest.skip(f"{ASSETS_MISSING}: no weights for {network} in {assets}/weights")
        return found[0]

    return find
