"""Run a program in a separate process, because a crashing engine kills its process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.core.errors import DeployError
from toolkit.inference.engines import Floats, TracedProgram

_REFUSED = 3
"""Exit code if the engine refused; stderr has the reason."""
_NO_MEMORY = "SIGKILL"


class TrialError(Exception):
    """A program that the separate process could not run.

    Args:
        reason: What happened, as words that follow the engine's name.
        lasting: Whether it would happen again; otherwise a lack of memory or time may be the cause.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


class Trial:
    """A process that waits for a program; it loads Paddle while the caller creates the program.

    It runs in its own session, so Ctrl-C does not reach it. It ends with the context.

    Example:
        >>> with Trial() as trial:  # doctest: +SKIP
        ...     outputs = trial.run(program, inputs, limit=60.0)
    """

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from toolkit.inference.trial import serve; serve()"
        self._said: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        with suppress(OSError, ValueError):  # no more processes, or embedded Python without an interpreter
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                text=True,
                env=_environment(),
                start_new_session=True,
            )

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(OSError):  # input that was never read
                self._process.communicate()
        self._said.close()

    def run(self, program: TracedProgram, inputs: NDArray[np.float32], limit: float) -> Floats:
        """The program's outputs for some rows. Call it once only.

        Args:
            program: What to run.
            inputs: Rows ``[N, ...]``.
            limit: Seconds after which the process is abandoned.

        Returns:
            As ``outputs_of``.

        Raises:
            TrialError: The process died or did not finish, or the engine refused.
        """
        if self._process is None:
            raise TrialError("could not be tried: no process could be started", lasting=False)
        with tempfile.TemporaryDirectory(prefix="toolkit-") as name:
            given, result_path = Path(name) / "inputs.npy", Path(name) / "outputs.npy"
            np.save(given, inputs)
            files = [str(file) for file in program.files]
            task = {"engine": program.engine, "files": files, "inputs": str(given), "outputs": str(result_path)}
            try:
                self._process.communicate(json.dumps(task), timeout=limit)
            except subprocess.TimeoutExpired as error:
                raise TrialError(f"did not finish within {limit:.0f} s", lasting=False) from error
            if self._process.returncode != 0:
                raise self._failure(self._process.returncode)
            outputs: Floats = np.load(result_path)
            return outputs

    def _failure(self, code: int) -> TrialError:
        self._said.seek(0)
        last = ([line.strip() for line in self._said.read().splitlines() if line.strip()] or [f"exit code {code}"])[-1]
        if code == _REFUSED:
            return TrialError(f"refuses: {last[:200]}", lasting=True)
        if code > 0:
            return TrialError(f"fails: {last[:200]}", lasting=False)
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return TrialError(f"crashes ({name})", lasting=name != _NO_MEMORY)


def _environment() -> dict[str, str]:
    """The environment with glibc's heap checks: an invalid write ends this process at once, not another one later."""
    environment = dict(os.environ)
    if sys.platform.startswith("linux") and "LD_PRELOAD" not in environment:
        environment["LD_PRELOAD"] = "libc_malloc_debug.so.0"  # since glibc 2.34; before, the checks are part of it
        environment["GLIBC_TUNABLES"] = "glibc.malloc.check=3"
    return environment


def outputs_of(run: Callable[[NDArray[np.float32]], Floats], inputs: NDArray[np.float32]) -> Floats:
    """Outputs of the rows as a batch, followed by that of the first row alone, ``[N + 1, ...]``."""
    return np.concatenate([run(inputs), run(inputs[:1])])


def serve() -> None:
    """Run in the separate process: execute one program, as given on standard input."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = sys.stdin.readline()
    if not line:
        return  # the parent is gone
    task: dict[str, Any] = json.loads(line)
    paddle.disable_signal_handler()  # it hangs if the heap is damaged
    program = TracedProgram(task["engine"], tuple(map(Path, task["files"])))
    try:
        np.save(task["outputs"], outputs_of(program.load(1), np.load(task["inputs"])))
    except DeployError as error:
        print(error.message.replace(os.linesep, " "), file=sys.stderr)
        sys.exit(_REFUSED)
