"""Start, watch and stop several processes on this machine's CPU that share one training.

For GPUs and for several machines, use Paddle's ``python -m paddle.distributed.launch``.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from toolkit.config import Config
from toolkit.core.console import console, info
from toolkit.core.errors import ConfigError
from toolkit.core.runtime import available_cores, cpu_settings, world_size

_PAUSE = 0.1  # seconds between checks
_PATIENCE = 20.0  # seconds for processes to save their state and exit
_SHOWN_LINES = 5


def share(config: Config, words: Sequence[str]) -> int | None:
    """Start the processes that a config requests, and wait for them.

    Args:
        config: The job's config.
        words: The command line that every process runs.

    Returns:
        Their exit code; None if this process should train, alone or as one of them.

    Raises:
        ConfigError: A GPU was requested.
    """
    if config.train.processes == 1 or world_size() > 1:
        return None
    if config.train.device.startswith("gpu"):
        raise ConfigError(
            "train.processes is for the CPU",
            hint="several GPUs: python -m paddle.distributed.launch --gpus 0,1 paddle-finetune train ...",
        )
    return launch(config.train.processes, words)


def launch(count: int, command: Sequence[str]) -> int:
    """Run a command in several connected processes, and wait for all of them.

    Only the first process writes to the terminal; the last lines of the others are shown if they fail. If one fails,
    the others are stopped. SIGTERM is passed on to all processes; Ctrl-C reaches them directly.

    Args:
        count: Number of processes.
        command: Command to run.

    Returns:
        0, or the exit code of the first process that failed.
    """
    words = list(command)
    info(f"{count} processes share the training, {_threads(count)} thread(s) each")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toolkit-ranks-")))
        logs: list[IO[bytes] | None] = [None]
        logs += [stack.enter_context((folder / f"{rank}.log").open("wb+")) for rank in range(1, count)]
        processes: list[subprocess.Popen[bytes]] = []
        with _signals_to(processes):
            for environment, log in zip(_environments(count), logs, strict=True):
                errors = subprocess.STDOUT if log else None
                processes.append(subprocess.Popen(words, env=environment, stdout=log, stderr=errors))
            code, first = _wait(processes)
        if code not in (0, 130):
            if first is not None and processes[first].returncode < 0:
                _tell_killed(first, processes[first].returncode, logs[first], words)
            else:
                _tell(processes, logs)
        return code


def _threads(count: int) -> str:
    """Return the number of threads per process: the user's setting, or an even share of the cores."""
    settings = cpu_settings()
    return settings.threads if settings.threads_from == "environment" else str(max(1, available_cores() // count))


def _environments(count: int) -> list[dict[str, str]]:
    with ExitStack() as stack:  # all open at once, so that the ports differ
        sockets = [stack.enter_context(socket.socket()) for _ in range(count + 1)]
        for listener in sockets:
            listener.bind(("127.0.0.1", 0))
        master, *ports = (listener.getsockname()[1] for listener in sockets)
    endpoints = [f"127.0.0.1:{port}" for port in ports]
    return [
        {
            **os.environ,
            "OMP_NUM_THREADS": _threads(count),
            "PADDLE_MASTER": f"127.0.0.1:{master}",
            "PADDLE_TRAINER_ID": str(rank),
            "PADDLE_TRAINERS_NUM": str(count),
            "PADDLE_TRAINER_ENDPOINTS": ",".join(endpoints),
            "PADDLE_CURRENT_ENDPOINT": endpoint,
            "PADDLE_DISTRI_BACKEND": "gloo",
        }
        for rank, endpoint in enumerate(endpoints)
    ]


@contextmanager
def _signals_to(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Pass SIGTERM on to processes as soon as they start; on Ctrl-C, which reaches all of them, wait for their end."""

    def pass_on(number: int, frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] != signal.SIG_IGN:  # the processes would inherit an ignored signal
        signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> tuple[int, int | None]:
    """Return the joint exit code, and the process that failed first or None."""
    failed: list[int] = []
    while any(process.poll() is None for process in processes) and not failed:
        time.sleep(_PAUSE)
        failed = [rank for rank, process in enumerate(processes) if process.poll()]
    first = min(failed, key=lambda rank: processes[rank].returncode, default=None)  # killed processes come first
    if failed:
        _end(processes)
    codes = [process.wait() for process in processes]
    reported = [code for code in codes if code > 0]  # a process that was killed by a signal reported no code
    return (reported[0] if reported else 1 if any(codes) else 0), first


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Give the other processes time to notice the failure and exit; then force them."""
    for act in (None, "terminate", "kill"):
        for process in processes:
            if act and process.poll() is None:
                getattr(process, act)()
        until = time.monotonic() + (_PATIENCE if act else _PATIENCE / 4)
        while time.monotonic() < until and any(process.poll() is None for process in processes):
            time.sleep(_PAUSE)


def _tell_killed(rank: int, code: int, log: IO[bytes] | None, command: Sequence[str]) -> None:
    """Report which process was killed by a signal, after which all others stop, and how to continue."""
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    why = ": perhaps the machine ran out of memory" if -code == getattr(signal, "SIGKILL", 9) else ""
    console.print(f"error: process {rank} was killed by {name}{why}", style="red", markup=False)
    for line in () if log is None else _last_words(log):
        console.print(f"  {line}", markup=False)
    script = ["python", *command[1:]] if command[0] == sys.executable else list(command)
    resume = [] if any(word.startswith("--resume") for word in script) else ["--resume", "auto"]
    console.print(f"  resume with: {shlex.join([*script, *resume])}", markup=False, soft_wrap=True)


def _tell(processes: Sequence[subprocess.Popen[bytes]], logs: Sequence[IO[bytes] | None]) -> None:
    """Show the last lines of processes without a terminal, unless all of them ended like the first one."""
    ends: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for rank, (process, log) in enumerate(zip(processes, logs, strict=True)):
        if log is not None and process.returncode:
            ends.setdefault((process.returncode, _last_words(log)), []).append(rank)
    if [(code, len(ranks)) for (code, _), ranks in ends.items()] == [(processes[0].returncode, len(processes) - 1)]:
        return
    for (code, words), ranks in ends.items():
        who, whose = ("process", "its") if len(ranks) == 1 else ("processes", "their")
        who += f" {', '.join(map(str, ranks))}"
        console.print(f"{who} exited with code {code}; {whose} last lines:", style="red", markup=False)
        for line in words:
            console.print(f"  {line}", markup=False)


def _last_words(log: IO[bytes]) -> tuple[str, ...]:
    """Return the toolkit's error and its hint if there is one, else the last few lines."""
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    errors = [index for index, line in enumerate(lines) if line.startswith("error: ")]
    return tuple(lines[errors[-1] :] if errors else lines[-_SHOWN_LINES:])
