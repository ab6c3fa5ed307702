"""Running a program in another process, which may die of it: an engine that crashes takes its process along."""

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
"""Exit code of a process whose engine said no; the reason is in what it wrote to stderr."""
_NO_MEMORY = "SIGKILL"


class TrialError(Exception):
    """A program that another process could not run.

    Args:
        reason: What happened, for people: behind the engine's name.
        lasting: It would happen again; else it may be want of memory or time.
    """

    def __init__(self, reason: str, *, lasting: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


class Trial:
    """A process that waits for a program; it loads Paddle from now on, while the caller makes the program.

    Its own session keeps Ctrl-C away from it. It ends with the context.

    Example:
        >>> with Trial() as trial:  # doctest: +SKIP
        ...     outputs = trial.run(program, inputs, limit=60.0)
    """

    def __init__(self) -> None:
        code = f"import sys; sys.path[:] = {sys.path!r}; from toolkit.inference.trial import serve; serve()"
        self._said: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process: subprocess.Popen[str] | None = None
        with suppress(OSError, ValueError):  # no more processes, or no interpreter of its own: embedded Python
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
            with suppress(OSError):  # what was never read
                self._process.communicate()
        self._said.close()

    def run(self, program: TracedProgram, inputs: NDArray[np.float32], limit: float) -> Floats:
        """What the program makes of some rows; once only.

        Args:
            program: What to run.
            inputs: Rows ``[N, ...]``.
            limit: Seconds after which the process is given up.

        Returns:
            As ``outputs_of``.

        Raises:
            TrialError: The process died or came to no end, or the engine refused.
        """
        if self._process is None:
            raise TrialError("could not be tried, as no process could be started", lasting=False)
        with tempfile.TemporaryDirectory(prefix="toolkit-") as name:
            given, found = Path(name) / "inputs.npy", Path(name) / "outputs.npy"
            np.save(given, inputs)
            files = [str(file) for file in program.files]
            task = {"engine": program.engine, "files": files, "inputs": str(given), "outputs": str(found)}
            try:
                self._process.communicate(json.dumps(task), timeout=limit)
            except subprocess.TimeoutExpired as error:
                raise TrialError(f"came to no end in {limit:.0f} s", lasting=False) from error
            if self._process.returncode != 0:
                raise self._failure(self._process.returncode)
            outputs: Floats = np.load(found)
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
    """With glibc's checks on: a kernel that writes where it must not ends this process, and not another one later."""
    found = dict(os.environ)
    if sys.platform.startswith("linux") and "LD_PRELOAD" not in found:
        found["LD_PRELOAD"] = "libc_malloc_debug.so.0"  # since glibc 2.34; before, the checks are part of it
        found["GLIBC_TUNABLES"] = "glibc.malloc.check=3"
    return found


def outputs_of(run: Callable[[NDArray[np.float32]], Floats], inputs: NDArray[np.float32]) -> Floats:
    """Outputs of rows as a batch, and behind them that of the first row alone, ``[N + 1, ...]``."""
    return np.concatenate([run(inputs), run(inputs[:1])])


def serve() -> None:
    """The other process: one program, as standard input says."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = sys.stdin.readline()
    if not line:
        return  # nobody asks any more
    task: dict[str, Any] = json.loads(line)
    paddle.disable_signal_handler()  # it waits for ever where the heap is damaged
    program = TracedProgram(task["engine"], tuple(map(Path, task["files"])))
    try:
        np.save(task["outputs"], outputs_of(program.load(1), np.load(task["inputs"])))
    except DeployError as error:
        print(error.message.replace(os.linesep, " "), file=sys.stderr)
        sys.exit(_REFUSED)
