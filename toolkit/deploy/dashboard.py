"""Start VisualDL's dashboard with the right flags, and stop it quietly."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, TYPE_CHECKING, NoReturn

from toolkit.core.console import info, warn
from toolkit.core.errors import DeployError
from toolkit.core.home import writable_home

if TYPE_CHECKING:
    from typing_extensions import Self


_PORTS_TRIED = 20
_START_SECONDS = 300.0  # as long as the process is alive; a busy machine takes a minute
_PAUSE = 0.2
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


class Dashboard:
    """A running VisualDL server; a context manager that stops it.

    Telemetry is off. The language of the page is set on the command line, because otherwise VisualDL 2.5 returns status
    500 to a browser or health check that names no language.

    Args:
        logdir: Folder with VisualDL logs at any depth (``runs/``).
        host: Address to listen on; ``0.0.0.0`` allows access from other machines.
        port: Preferred port; if it is taken, the next free one is used.
        language: ``en`` or ``zh``.

    Attributes:
        address: URL to open in a browser.

    Raises:
        DeployError: The folder does not exist or has no logs, the address is invalid, or the server does not start.
    """

    def __init__(self, logdir: str | Path, host: str = "127.0.0.1", port: int = 8040, *, language: str = "en") -> None:
        folder = _folder_with_records(Path(logdir))
        self._host = _EVERYWHERE.get(host, host)
        self._port = _free_port(host, port)
        self.address = f"http://{f'[{self._host}]' if ':' in self._host else self._host}:{self._port}/"
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the server
        command = [sys.executable, "-m", "visualdl.server.app", "--logdir", folder.name or "."]
        command += ["--host", host or "0.0.0.0", "--port", str(self._port)]
        command += ["--disable-telemetry", "--language", language]
        # Start in the parent folder, so that runs are shown as runs/<name> and not by their full paths.
        with writable_home():
            self._process = subprocess.Popen(
                command, cwd=folder.parent, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
            )
            try:
                self._wait_until_alive()
            except BaseException:
                self.stop()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait(self) -> None:
        """Wait until the server ends by itself.

        Raises:
            DeployError: The server failed.
        """
        if self._process.wait() > 0:
            raise DeployError(f"VisualDL ended with code {self._process.returncode}: {self._last_words()}")

    def stop(self) -> None:
        """Stop the server if it is running."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def _wait_until_alive(self) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise DeployError(
                    f"VisualDL does not start: {self._last_words()}", hint="check it with: pip install visualdl==2.5.3"
                )
            if _answers(self._host, self._port):
                return
            time.sleep(_PAUSE)
        raise DeployError(f"VisualDL does not respond at {self.address} after {_START_SECONDS:.0f} s")

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit code {self._process.returncode}"


def serve(logdir: str | Path, host: str = "127.0.0.1", port: int = 8040, *, language: str = "en") -> None:
    """Run the dashboard until Ctrl-C or SIGTERM, and print its address on stderr. See ``Dashboard``."""
    try:
        with _terminate_like_ctrl_c(), Dashboard(logdir, host, port, language=language) as dashboard:
            if f":{port}/" not in dashboard.address:
                info(f"port {port} is taken")
            if host in _EVERYWHERE:
                warn(f"other machines can see this dashboard: it listens on {host or 'every address'}")
            info(f"VisualDL shows {logdir} at {dashboard.address} (press Ctrl-C to stop)")
            dashboard.wait()
    except KeyboardInterrupt:
        pass
    info("dashboard stopped")


def _folder_with_records(folder: Path) -> Path:
    if not folder.is_dir():
        raise DeployError(f"{folder} is not a folder with VisualDL logs", hint="give the runs folder")
    if next(folder.rglob("*vdlrecords*"), None) is None:
        raise DeployError(
            f"{folder} has no VisualDL logs yet", hint="train first (log.visualdl: true), then open the dashboard"
        )
    return folder.resolve()


def _free_port(host: str, wanted: int) -> int:
    """Return the preferred port, or the next free one, or any."""
    problem: OSError | None = None
    for port in (*range(wanted, min(wanted + _PORTS_TRIED, 65536)), 0):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as test:
                test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                test.bind((host, port))
                return int(test.getsockname()[1])
        except (OSError, OverflowError) as error:
            problem = OSError(*error.args)
    raise DeployError(f"cannot listen on {host}: {problem}", hint="use --host 127.0.0.1, or 0.0.0.0 for every address")


def _answers(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)  # not through a proxy
    try:
        connection.request("GET", "/alive")
        return connection.getresponse().status < 400
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def _terminate_like_ctrl_c() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that it also stops the server."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
