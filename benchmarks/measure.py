"""Measure one program as a whole process: wall and CPU time and peak memory, including its descendants."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Failed", "Measurement", "clean_environment", "measure"]

_SAMPLING = 1.0
_ORPHANS_MAY_LIVE = 5.0
_SETTINGS = ("OMP_", "MKL_", "KMP_", "OPENBLAS_", "GLIBC_TUNABLES", "MALLOC_", "FLAGS_", "TF_", "TOOLKIT_", "PYTHON")
_PR_SET_CHILD_SUBREAPER = 36


class Failed(Exception):
    """A program failed; the message is one line."""


@dataclass(frozen=True)
class Measurement:
    """One run of one program.

    Attributes:
        wall: Seconds from start to exit.
        cpu: CPU-seconds, user and system, of the process and all its descendants.
        peak: Peak memory in use at any time, MB; pages shared by processes count once.
        result: The JSON object that the program printed last.
    """

    wall: float
    cpu: float
    peak: float
    result: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def clean_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """The environment without settings of threads, allocators and libraries, so that each program runs as installed.

    Args:
        keep: Variables to keep.
    """
    return {name: value for name, value in os.environ.items() if name in keep or not name.startswith(_SETTINGS)}


def measure(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float, log: Path
) -> Measurement:
    """Run a program to its end.

    Args:
        command: Program and arguments.
        environment: All environment variables.
        folder: Working directory.
        timeout: Seconds after which it is killed.
        log: File for its stderr.

    Raises:
        Failed: It failed, took too long, or its last line is not a JSON object.
    """
    _adopt_orphans()
    began = time.perf_counter()
    with log.open("w", encoding="utf-8") as stderr:
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )
        watch = _Watch(process.pid)
        watch.start()
        alarm = threading.Timer(timeout, _end_group, [process.pid])
        alarm.start()
        try:
            assert process.stdout is not None
            output = process.stdout.read().decode(errors="replace")
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            alarm.cancel()
            watch.stop()
            _end_group(process.pid)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    cpu = usage.ru_utime + usage.ru_stime + _cpu_of_orphans(process.pid)
    if process.returncode == -signal.SIGKILL and wall >= timeout:
        raise Failed(f"ended after {timeout:.0f} s")
    if process.returncode:
        raise Failed(f"exit code {process.returncode}: {_last_line(log)}")
    per_mb = 2**20 if sys.platform == "darwin" else 2**10
    return Measurement(wall, cpu, max(usage.ru_maxrss / per_mb, watch.peak), _result(output))


def _result(output: str) -> dict[str, Any]:
    lines = [line for line in output.splitlines() if line.strip()]
    with suppress(ValueError, IndexError):
        found = json.loads(lines[-1])
        if isinstance(found, dict):
            return found
    raise Failed(f"it should end with a line of JSON, but printed {lines[-1][:200] if lines else 'nothing'!r}")


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "no message")[
        :300
    ]


def _end_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _adopt_orphans() -> None:
    """Make orphaned descendants children of this process, so that their CPU time can be counted."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _cpu_of_orphans(group: int) -> float:
    """CPU time of processes of a group that outlived their parent and have ended."""
    seconds, end = 0.0, time.monotonic() + _ORPHANS_MAY_LIVE
    while time.monotonic() < end:
        try:
            pid, _, usage = os.wait4(-group, os.WNOHANG)
        except ChildProcessError:
            break
        if pid:
            seconds += usage.ru_utime + usage.ru_stime
        else:
            time.sleep(0.01)
    return seconds


class _Watch(threading.Thread):
    """Samples the memory of a process and its descendants, if it has any.

    (The peak of a single process is known exactly, from the system's own count.)
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self._pid = pid
        self._end = threading.Event()

    def run(self) -> None:
        """Sample until stopped."""
        while not self._end.wait(_SAMPLING):
            processes = list(_tree(self._pid))
            if len(processes) > 1:
                self.peak = max(self.peak, sum(map(_memory, processes)))

    def stop(self) -> None:
        """Stop sampling."""
        self._end.set()
        self.join()


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in file.read_text().split():
                yield from _tree(int(child))


def _memory(pid: int) -> float:
    """Memory of a process in MB, including its share of pages it shares with others."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
