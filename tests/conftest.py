"""The setting of every test: a temporary home, fixed seeds, and access to real images and weights.

Tests on real images or weights use the fixture ``assets`` or ``weights``, which looks in the folder named by
``TOOLKIT_ASSETS``, or in ``shared/assets`` next to this clone. Without it they are skipped, and the summary says so.
They, and tests that merely behave differently with assets (``assets_folder``), are marked ``assets``.
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

# Before Paddle is imported: caches go to a temporary home.
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

signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it

from toolkit.core.runtime import cpu_settings  # noqa: E402 - sets Paddle's environment


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Give each process of a parallel run one thread, unless the user has set the number."""
    if cpu_settings().threads_from == "toolkit":
        os.environ["OMP_NUM_THREADS"] = "1"


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that depend on assets."""
    for item in items:
        if "assets_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("assets")


def pytest_collection_finish() -> None:
    """Exempt what imports created from garbage collection, which the toolkit requests after each run."""
    gc.freeze()


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report how many tests were skipped because assets are missing."""
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if ASSETS_MISSING in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} tests on real images and weights did NOT run: {ASSETS_MISSING}; set TOOLKIT_ASSETS",
            yellow=True,
            bold=True,
        )


@pytest.fixture(autouse=True)
def _working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in the test's own folder, so that relative paths (``runs/``) end there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "paddle" in sys.modules:
        sys.modules["paddle"].seed(0)


@pytest.fixture
def engines_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try engines in this process, for networks that cannot crash it: another one takes seconds to import Paddle."""
    from toolkit.inference import trust

    tried = trust._outputs
    monkeypatch.setattr(trust, "_outputs", lambda engine, comparison, apart: tried(engine, comparison, apart=False))


@pytest.fixture(scope="session")
def repo() -> Path:
    return REPO


@pytest.fixture(scope="session")
def assets_folder() -> Path:
    """Folder of real images (``datasets/``) and weights (``weights/``); it may not exist."""
    return Path(os.environ.get("TOOLKIT_ASSETS") or REPO.parent / "shared" / "assets").resolve()


@pytest.fixture(scope="session")
def assets(assets_folder: Path) -> Path:
    """The same folder; skips the test if it does not exist."""
    if not (assets_folder / "datasets").is_dir():
        pytest.skip(f"{ASSETS_MISSING}: {assets_folder}/datasets does not exist")
    return assets_folder


@pytest.fixture(scope="session")
def weights(assets: Path) -> Callable[[str], Path]:
    """``weights("mobilenet_v2")`` is the path of ImageNet weights for that network; skips the test without them."""

    def find(network: str) -> Path:
        found = sorted((assets / "weights").glob(f"{network}*.pdparams"))
        if not found:
            pytest.skip(f"{ASSETS_MISSING}: no weights for {network} in {assets}/weights")
        return found[0]

    return find
