"""VisualDL's server: right flags, clear errors, and gone afterwards."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from visualdl import LogWriter

import toolkit
from toolkit.core.errors import DeployError
from toolkit.deploy import Dashboard

ROOT = Path(toolkit.__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dashboard") / "runs"
    with LogWriter(logdir=str(folder / "鸟" / "vdl"), file_name="vdlrecords.run.log") as writer:
        writer.add_scalar("train/loss", 1.0, 0)
    return folder


def free_port() -> int:
    with socket.socket() as test:
        test.bind(("127.0.0.1", 0))
        return int(test.getsockname()[1])


def get(address: str, path: str) -> tuple[int, str]:
    """A request as a health check makes it: no Accept-Language."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=200)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def is_closed(address: str) -> bool:
    with socket.socket() as test:
        return test.connect_ex(("127.0.0.1", urlsplit(address).port or 0)) != 0


def test_the_page_answers_and_a_busy_port_is_no_problem(runs: Path) -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        taken = busy.getsockname()[1]
        with Dashboard(runs, port=taken) as dashboard:
            assert f":{taken}/" not in dashboard.address
            status, page = get(dashboard.address, "/app/index")
            assert status == 200
            assert "VisualDL" in page
            assert "63a600296f8a71f576c4806376a9245b" not in page, "telemetry is off"
            status, names = get(dashboard.address, "/app/api/runs")
            assert (status, json.loads(names)["data"]) == (200, ["runs/鸟/vdl"])
    assert is_closed(dashboard.address)


@contextmanager
def tool(runs: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    code = f"from toolkit.deploy import serve; serve({str(runs)!r}, port={port})"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_quietly(runs: Path, end: signal.Signals) -> None:
    port = free_port()
    with tool(runs, port) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert f"http://127.0.0.1:{port}/" in line
        assert get(f"http://127.0.0.1:{port}/", "/app/index")[0] == 200
        process.send_signal(end)
        out, err = process.communicate()
    assert process.returncode == 0
    # Whoever is interrupted at the very end of a print may print that line again.
    assert (out, err.removeprefix(line)) == ("", "dashboard stopped\n")
    assert is_closed(f"http://127.0.0.1:{port}/")


def test_the_dashboard_does_not_load_paddle() -> None:
    code = "import sys, toolkit.deploy; toolkit.deploy.serve; assert 'paddle' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_server_that_does_not_start(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(DeployError, match="does not start"):  # after the whole wait it would be "does not respond"
        Dashboard(runs, port=free_port())


def test_what_cannot_be_shown(tmp_path: Path, runs: Path) -> None:
    with pytest.raises(DeployError, match="is not a folder"):
        Dashboard(tmp_path / "nowhere")
    with pytest.raises(DeployError, match="no VisualDL logs yet"):
        Dashboard(tmp_path)
    with pytest.raises(DeployError, match=r"cannot listen on 203\.0\.113\.7"):
        Dashboard(runs, host="203.0.113.7")
