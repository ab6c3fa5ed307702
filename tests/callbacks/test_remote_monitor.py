"""Messages of a run to a server: that arrives, that is dead, slow, silent or in a bad mood."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from toolkit.callbacks import RemoteMonitor
from toolkit.callbacks.delivery import Delivery, Destination, Message
from toolkit.core.errors import ConfigError, TrainingError

SECRET = "s3cret-t0ken"


class Server:
    """Receives messages; answers with the codes of ``answers`` in turn, the last one for ever.

    Attributes:
        url: Its address.
        got: Messages that it has taken, with code 200.
        asked: Codes that it has answered.
        headers: Of the last request.
        open: Answers wait for it.
    """

    def __init__(self) -> None:
        self.answers = [200]
        self.delay = 0.0
        self.open = threading.Event()
        self.open.set()
        self.got: list[dict[str, Any]] = []
        self.asked: list[int] = []
        self.headers: dict[str, str] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(outer.delay)
                outer.open.wait()
                code = outer.answers[min(len(outer.asked), len(outer.answers) - 1)]
                outer.asked.append(code)
                outer.headers = dict(self.headers)
                if code == 200:
                    outer.got.append(body)
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/runs"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that accepts and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"


@pytest.fixture
def dead() -> str:
    """An address without a server."""
    with socket.socket() as test:
        test.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{test.getsockname()[1]}/"


def until(true: Callable[[], bool], seconds: float = 60.0) -> bool:
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.005)
    return true()


def test_a_whole_training_is_reported(server: Server, run: Any) -> None:
    losses = [{"loss": 0.5, "top1": 0.7, "acc": 0.7}, {"loss": math.nan, "top1": 0.1, "acc": 0.1}]
    run([RemoteMonitor(server.url, "birds", flush_seconds=60)], losses)
    assert [(line["event"], line["epoch"]) for line in server.got] == [
        ("begin", 0), ("epoch", 1), ("epoch", 2), ("end", 2)
    ]  # fmt: skip
    assert {(line["run"], line["epochs"], line["reason"], line["dropped"]) for line in server.got} == {
        ("birds", 2, None, 0)
    }
    assert server.got[1]["metrics"] == {"train/loss": 1.0, "train/top1": 0.5, "val/loss": 0.5, "val/top1": 0.7}
    assert server.got[2]["metrics"]["val/loss"] is None
    assert server.got[3]["metrics"] == server.got[2]["metrics"]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", line["time"]) for line in server.got)
    assert "Authorization" not in server.headers


def test_a_resumed_training_says_where_it_goes_on(server: Server, run: Any) -> None:
    first = RemoteMonitor(server.url, flush_seconds=60)
    run([first], [0.5, 0.4])
    second = RemoteMonitor(server.url, flush_seconds=60)
    second.set_state_dict(first.state_dict())
    run([second], [0.5, 0.4, 0.3], first=2)
    assert [(line["event"], line["epoch"]) for line in server.got[4:]] == [("begin", 2), ("epoch", 3), ("end", 3)]


def test_epochs_without_evaluation_are_reported_too(server: Server, make_model: Any) -> None:
    import numpy as np
    import paddle

    images = np.zeros((4, 2), "float32")
    data = paddle.io.TensorDataset([paddle.to_tensor(images), paddle.to_tensor(np.array([0, 1, 0, 1]))])
    make_model(0.1).fit(
        data, batch_size=2, epochs=2, verbose=0, callbacks=[RemoteMonitor(server.url, flush_seconds=60)]
    )
    assert [(line["event"], line["epoch"]) for line in server.got] == [
        ("begin", 0), ("epoch", 1), ("epoch", 2), ("end", 2)
    ]  # fmt: skip
    assert set(server.got[1]["metrics"]) == {"train/loss", "train/acc"}


def test_a_failure_is_reported_with_its_reason_but_without_folders(server: Server, run: Any) -> None:
    class Fails(RemoteMonitor):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            raise TrainingError("cannot read /home/me/images/a.png: it is empty\nmore", hint="none")

    monitor = Fails(server.url)
    with pytest.raises(TrainingError):
        try:
            run([monitor], [0.5])
        finally:
            monitor.close()
    monitor.close()
    assert [line["event"] for line in server.got] == ["begin", "failed"]
    assert server.got[1]["reason"] == "TrainingError: cannot read a.png: it is empty"


def test_closing_after_the_end_tells_nothing(server: Server, run: Any) -> None:
    monitor = RemoteMonitor(server.url, flush_seconds=60)
    run([monitor], [0.5])
    monitor.close()
    assert [line["event"] for line in server.got] == ["begin", "epoch", "end"]


@pytest.mark.parametrize("where", ["silent", "dead"])
def test_training_does_not_wait_for_a_silent_server(
    where: str, run: Any, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    url = request.getfixturevalue(where)
    monitor = RemoteMonitor(f"{url}runs/hidden-path", queue=3, flush_seconds=0.3, timeout=30)
    monitor.set_model(None)
    monitor.on_train_begin()
    slowest = 0.0
    for epoch in range(50):
        before = time.monotonic()
        monitor.on_epoch_begin(epoch)
        monitor.on_epoch_end(epoch, {"loss": 1.0})
        monitor.on_eval_end({"loss": 1.0})
        slowest = max(slowest, time.monotonic() - before)
    before = time.monotonic()
    monitor.on_train_end()
    assert max(slowest, time.monotonic() - before) < 20  # who waited for an answer would wait for 30 s
    said = capsys.readouterr().err
    assert "52 message(s) did not reach 127.0.0.1:" in said
    assert "hidden-path" not in said


@pytest.mark.slow
def test_the_process_ends_in_time(silent: str) -> None:
    code = (
        "from toolkit.callbacks import RemoteMonitor\n"
        "import time\n"
        f"monitor = RemoteMonitor({silent!r}, timeout=60, flush_seconds=0.5)\n"
        "monitor.on_train_begin(); time.sleep(1); monitor.on_train_end(); print(time.time())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert time.time() - float(done.stdout.split()[-1]) < 40  # who waited for the answer would wait for 60 s


def test_a_slow_server_gets_everything_in_order(server: Server, run: Any) -> None:
    server.delay = 0.05
    begin = time.monotonic()
    run([RemoteMonitor(server.url, flush_seconds=60)], [0.5] * 5)
    assert [line["event"] for line in server.got] == ["begin", *["epoch"] * 5, "end"]
    assert time.monotonic() - begin > 7 * 0.05


def deliver(url: str, bodies: list[Message], most: int = 100, retries: int = 3, wait: float = 60) -> Delivery:
    delivery = Delivery(Destination(url, "the.host", None, 30.0, retries, 0.01, 0.05), most)
    for body in bodies:
        delivery.post(body)
    delivery.flush(wait)
    return delivery


def test_a_server_error_is_tried_again(server: Server) -> None:
    server.answers = [503, 500, 429, 200]
    delivery = deliver(server.url, [Message({"n": 1}), Message({"n": 2})])
    assert [line["n"] for line in server.got] == [1, 2]
    assert delivery.close() == 0


def test_but_not_for_ever(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [500] * 4 + [200]
    delivery = deliver(server.url, [Message({"n": 1}), Message({"n": 2})])
    assert server.got == [{"n": 2, "dropped": 1}]
    assert delivery.close() == 1
    said = capsys.readouterr().err
    assert said.count("the.host answered 500") == 1
    assert said.count("the.host is back") == 1


@pytest.mark.parametrize("code", [302, 400, 401, 404])
def test_what_cannot_become_better_is_not_tried_again(server: Server, code: int) -> None:
    server.answers = [code, 200]
    delivery = deliver(server.url, [Message({"n": 1}), Message({"n": 2})])
    assert server.asked == [code, 200]
    assert [line["n"] for line in server.got] == [2]
    assert delivery.close() == 1


def test_the_queue_is_bounded_and_old_epochs_go_first(server: Server) -> None:
    server.open.clear()
    delivery = Delivery(Destination(server.url, "the.host"), most=4)
    delivery.post(Message({"n": "begin"}))
    for number in range(20):
        delivery.post(Message({"n": number}, may_go=True))
    delivery.post(Message({"n": "end"}))
    assert delivery.waiting == 4
    server.open.set()
    assert delivery.flush(60)
    assert [line["n"] for line in server.got] == ["begin", 18, 19, "end"]
    assert [line["dropped"] for line in server.got][1:] == [18] * 3
    assert delivery.close() == 18


def test_a_server_that_comes_back_gets_what_waited(dead: str) -> None:
    port = int(dead.rstrip("/").rpartition(":")[2])
    delivery = Delivery(Destination(dead, "the.host", timeout=1.0, pause=0.01, longest_pause=0.05))
    delivery.post(Message({"n": 1}))
    assert not delivery.flush(0.2)
    late = ThreadingHTTPServer(("127.0.0.1", port), _Yes)
    threading.Thread(target=late.serve_forever, args=(0.05,), daemon=True).start()
    assert delivery.flush(60)
    assert delivery.close() == 0
    late.shutdown()
    late.server_close()


class _Yes(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def test_pauses_grow_and_have_an_end() -> None:
    delivery = Delivery(Destination("http://h/", "h", pause=1.0, longest_pause=60.0))
    pauses = []
    for failures in (1, 2, 3, 6, 7, 8, 5000):
        delivery._failures = failures
        pauses.append(delivery._pause())
    delivery.close()
    assert pauses == [1, 2, 4, 32, 60, 60, 60]


def test_threads_end(server: Server, run: Any) -> None:
    before = threading.active_count()
    monitor = RemoteMonitor(server.url, flush_seconds=60)
    for _ in range(3):
        run([monitor], [0.5])
    assert until(lambda: not any(thread.name == "remote monitor" for thread in threading.enumerate()))
    assert threading.active_count() <= before + 4  # the server's own


def test_the_token_is_sent_and_seen_nowhere(
    server: Server, run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setenv("MONITOR_TOKEN", SECRET)
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monitor = RemoteMonitor(server.url, token_env="MONITOR_TOKEN", flush_seconds=60)
    run([monitor], [0.5])
    assert server.headers["Authorization"] == f"Bearer {SECRET}"
    monitor.on_train_begin()
    monitor.failed(RuntimeError(f"with {SECRET} in it"))
    assert server.got[-1]["reason"] == "RuntimeError: with *** in it"
    texts = [repr(monitor), repr(monitor._destination), json.dumps(monitor.state_dict()), *capsys.readouterr()]
    assert SECRET not in "".join(texts)
    assert SECRET not in json.dumps(server.got)


@pytest.mark.parametrize("value", [None, "", "two words", "new\nline", "Schlüssel"])
def test_a_token_that_cannot_be_sent(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("MONITOR_TOKEN", raising=False)
    else:
        monkeypatch.setenv("MONITOR_TOKEN", value)
    with pytest.raises(ConfigError, match=r"callbacks\.remote_monitor\.token_env.*MONITOR_TOKEN") as caught:
        RemoteMonitor("https://h/", token_env="MONITOR_TOKEN")
    assert not value or value not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["ftp://host/", "host/runs", "", "file:///etc/passwd", "http://", "http://[::1", "http://h:99999/"]
)
def test_an_address_that_is_not_http(url: str) -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.remote_monitor\.url"):
        RemoteMonitor(url)


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="use token_env") as caught:
        RemoteMonitor(f"https://me:{SECRET}@host/")
    assert SECRET not in str(caught.value)


def test_a_token_on_a_plain_connection_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MONITOR_TOKEN", SECRET)
    RemoteMonitor("http://127.0.0.1:1/", token_env="MONITOR_TOKEN")
    RemoteMonitor("https://host/", token_env="MONITOR_TOKEN")
    assert capsys.readouterr().err == ""
    RemoteMonitor("http://host:8080/", token_env="MONITOR_TOKEN")
    assert "is sent to host:8080 unencrypted" in capsys.readouterr().err


def test_other_processes_tell_nothing(server: Server, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_TRAINER_ID", "1")
    run([RemoteMonitor(server.url, flush_seconds=60)], [0.5])
    assert server.got == []


def test_a_dead_server_costs_nothing_at_the_end(dead: str, run: Any) -> None:
    before = time.monotonic()
    run([RemoteMonitor(dead, flush_seconds=60)], [0.5, 0.4])
    assert time.monotonic() - before < 30  # who waited for it would wait for 60 s
