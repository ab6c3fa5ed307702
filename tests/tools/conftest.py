"""Calling a tool's script in this process, which saves importing Paddle again."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture(scope="session")
def call_here() -> Callable[..., tuple[int, str]]:
    """``call_here("predict", "--network", ...)`` returns the exit code and stderr."""

    def run(tool: str, *arguments: object) -> tuple[int, str]:
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        with (
            pytest.MonkeyPatch.context() as patch,
            tempfile.TemporaryFile("w+", encoding="utf-8") as messages,
            redirect_stderr(messages),
        ):
            patch.setattr(sys, "argv", [f"{tool}.py", *map(str, arguments)])
            patch.setattr("toolkit.core.console.console._file", messages)
            code = 0
            try:
                runpy.run_path(str(TOOLS / f"{tool}.py"), run_name="__main__")
            except SystemExit as end:
                code = int(end.code or 0)
            finally:
                for number, handler in handlers.items():
                    signal.signal(number, handler)
            messages.seek(0)
            return code, messages.read()

    return run


@pytest.fixture(scope="session")
def run_here(call_here: Callable[..., tuple[int, str]]) -> Callable[..., tuple[int, str, str]]:
    """``run_here("predict", "--network", ...)`` returns the exit code, stdout and stderr."""

    def run(tool: str, *arguments: object) -> tuple[int, str, str]:
        before = os.dup(1)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as results:
            try:
                os.dup2(results.fileno(), 1)
                with open(1, "w", encoding="utf-8", closefd=False) as stdout, redirect_stdout(stdout):
                    code, messages = call_here(tool, *arguments)
            finally:
                os.dup2(before, 1)
                os.close(before)
            results.seek(0)
            return code, results.read(), messages

    return run
