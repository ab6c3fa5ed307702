"""Running a tool's script in this process, which saves importing Paddle anew."""

from __future__ import annotations

import runpy
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="session")
def call_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., tuple[int, str]]]:
    """``call_here("predict", "--network", ...)`` gives the exit code and the toolkit's messages."""
    before = signal.getsignal(signal.SIGTERM)

    def run(tool: str, *arguments: object) -> tuple[int, str]:
        path = tmp_path_factory.mktemp("said") / "stderr"
        with pytest.MonkeyPatch.context() as patch, path.open("w", encoding="utf-8") as heard:
            patch.setattr(sys, "argv", [f"{tool}.py", *map(str, arguments)])
            patch.setattr("toolkit.core.console.console._file", heard)
            try:
                runpy.run_path(str(TOOLS / f"{tool}.py"), run_name="__main__")
                code = 0
            except SystemExit as done:
                code = int(done.code or 0)
        return code, path.read_text(encoding="utf-8")

    yield run
    signal.signal(signal.SIGTERM, before)
