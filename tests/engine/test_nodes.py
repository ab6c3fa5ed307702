"""Three launch groups on loopback ports, as on three machines, train together and end together with a message."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import Config, dump_config
from toolkit.engine import RunFolder
from toolkit.engine.runs.checkpoints import load_newest

Make = Callable[..., Config]
NODES = 3
JOB = {
    "model": {"name": "squeezenet1_1", "pretrained": False},
    "data": {"samples_per_class": 16, "batch_size": 4, "image_size": 35},
    "transfer": {"preset": "scratch"},
}


def launched(repo: Path, config: Path, folder: Path) -> list[subprocess.Popen[bytes]]:
    """Start one launcher per machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        master = f"127.0.0.1:{free.getsockname()[1]}"
    words = [sys.executable, "-m", "paddle.distributed.launch", "--nnodes", str(NODES), "--master", master]
    return [
        subprocess.Popen(
            [
                *words,
                *("--rank", str(node), "--nproc_per_node", "1", "--job_id", "job"),
                *("--log_dir", str(folder / f"{node}"), str(repo / "tools/train.py"), "-c", str(config)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for node in range(NODES)
    ]


def ended(launchers: list[subprocess.Popen[bytes]]) -> list[int]:
    try:
        return [launcher.wait() for launcher in launchers]
    finally:
        for launcher in launchers:
            launcher.kill()


def log_of(folder: Path, node: int) -> str:
    return (folder / f"{node}" / "workerlog.0").read_text(encoding="utf-8", errors="replace")


def worker_of(launcher: subprocess.Popen[bytes]) -> int:
    """The training process that a launcher has started."""
    children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()
    return int(children[-1])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_three_machines(make: Make, repo: Path, tmp_path: Path) -> None:
    config = make(**JOB)
    (tmp_path / "job.yaml").write_text(dump_config(config), encoding="utf-8")
    assert ended(launched(repo, tmp_path / "job.yaml", tmp_path)) == [0, 0, 0]
    run = RunFolder(config.output_dir / "job")
    assert run.read_record()["finished"]
    assert "best (" in log_of(tmp_path, 0)
    assert "best (" not in log_of(tmp_path, 1)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc")
def test_the_death_of_one_ends_all_with_a_checkpoint(make: Make, repo: Path, tmp_path: Path) -> None:
    config = make(**JOB, train={"epochs": 2000})
    (tmp_path / "job.yaml").write_text(dump_config(config), encoding="utf-8")
    run = RunFolder(config.output_dir / "job")
    launchers = launched(repo, tmp_path / "job.yaml", tmp_path)
    until = time.monotonic() + 600
    while not run.metrics.is_file() and time.monotonic() < until:
        time.sleep(0.2)
    os.kill(worker_of(launchers[2]), signal.SIGKILL)
    assert all(ended(launchers))
    said = log_of(tmp_path, 0)
    assert "has lost the others" in said
    assert f"--resume {run.path}" in said
    assert "Traceback" not in said
    assert load_newest(run).epoch >= 1
