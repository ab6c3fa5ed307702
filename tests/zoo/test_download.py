"""Finding and downloading weights, with a local server."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toolkit.core.errors import WeightsError
from toolkit.zoo import NetworkSpec, PretrainedWeights, create_network, get_spec, http, resolve_weights, write_weights
from toolkit.zoo import download as download_module
from toolkit.zoo.download import fetch, mirrored, weights_folder

CONTENT = bytes(range(256)) * 4096  # 1 MB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves ``content`` as a test requires."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag: str | None = '"v1"'
        self.cuts: list[int] = []  # bytes to send before closing, one for each request
        self.statuses: list[int] = []  # answers to give instead, one for each request
        self.stalls = 0
        self.ranges = True
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/models/net.pdparams?x=1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        server.requests.append((self.path, wanted))
        if server.statuses:
            self.send_error(server.statuses.pop(0))
            return
        start, status = 0, 200
        fresh = self.headers.get("If-Range") == server.etag
        if wanted and server.ranges and fresh:
            start, status = int(re.findall(r"\d+", wanted)[0]), 206
            if start >= len(server.content):
                self.send_error(416)
                return
        body = server.content[start:]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if server.stalls:
            server.stalls -= 1
            self.wfile.write(body[:1000])
            self.wfile.flush()
            threading.Event().wait(1.5)
            return
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PADDLE_FINETUNE_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setattr(download_module, "_FIRST_PAUSE", 0.01)
    for name in (
        "PADDLE_FINETUNE_OFFLINE",
        "PADDLE_FINETUNE_MIRROR",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "weights"


def weights_file(folder: Path) -> bytes:
    """LeNet's weights, as a file."""
    write_weights(create_network("lenet").state_dict(), folder / "made.pdparams")
    return (folder / "made.pdparams").read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if not p.name.endswith(".lock"))


def test_a_file_is_downloaded_once(server: Server, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch(server.url, folder / "net.pdparams", md5=MD5)
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["net.pdparams"]
    assert fetch(server.url, folder / "net.pdparams", md5=MD5) == path
    assert len(server.requests) == 1
    assert capsys.readouterr().err.count("downloading") == 1


def test_cut_connections_resume_where_they_were_cut(server: Server, folder: Path) -> None:
    server.cuts = [300_000, 100_000, 1, 500_000]
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT
    starts = [0, *(int(re.findall(r"\d+", wanted or "")[0]) for _, wanted in server.requests[1:])]
    blocks = [start // http._BLOCK for start in starts]
    assert blocks == [0, 4, 5, 5, 12]
    assert [block * http._BLOCK for block in blocks] == starts


def test_a_later_run_resumes(server: Server, folder: Path) -> None:
    server.cuts = [400_000]
    server.statuses = []
    with pytest.raises(WeightsError):
        _fetch_once(server, folder)
    size = (folder / "net.pdparams.part").stat().st_size
    assert 300_000 < size <= 400_000
    assert not (folder / "net.pdparams").exists()
    assert fetch(server.url, folder / "net.pdparams").read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={size}-"
    assert names(folder) == ["net.pdparams"]


def _fetch_once(server: Server, folder: Path) -> None:
    class Closing(list):  # after the first request the file is gone
        def __bool__(self) -> bool:
            return len(server.requests) > 1

    server.statuses = Closing([404])
    try:
        fetch(server.url, folder / "net.pdparams")
    finally:
        server.statuses = []


def test_a_file_that_changed_meanwhile_starts_over(server: Server, folder: Path) -> None:
    server.cuts = [400_000]
    with pytest.raises(WeightsError):
        _fetch_once(server, folder)
    server.content, server.etag = CONTENT[::-1], '"v2"'
    assert fetch(server.url, folder / "net.pdparams").read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("feature", ["ranges", "etag"])
def test_servers_that_cannot_resume_start_over(server: Server, folder: Path, feature: str) -> None:
    setattr(server, feature, None)
    server.cuts = [300_000]
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT


def test_a_part_that_is_too_long_starts_over(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "net.pdparams.part").write_bytes(CONTENT + b"more")
    (folder / "net.pdparams.part.tag").write_text('"v1"')
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT


def test_a_damaged_part_is_discarded(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "net.pdparams.part").write_bytes(b"x" * 1000)
    (folder / "net.pdparams.part.tag").write_text('"v1"')
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT
    assert [wanted for _, wanted in server.requests] == ["bytes=1000-", None]


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, folder: Path) -> None:
    folder.mkdir()
    (folder / "net.pdparams").write_bytes(b"half")
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT


def test_a_wrong_checksum_is_an_error_and_leaves_nothing(server: Server, folder: Path) -> None:
    with pytest.raises(WeightsError, match=f"wrong checksum.*{'0' * 32}") as caught:
        fetch(server.url, folder / "net.pdparams", md5="0" * 32)
    assert f"put it at {folder}/net.pdparams" in str(caught.value.hint)
    assert not (folder / "net.pdparams").exists()
    assert not (folder / "net.pdparams.part").exists()


@pytest.mark.parametrize("status", [404, 403])
def test_a_refusal_is_not_repeated(server: Server, folder: Path, status: int) -> None:
    server.statuses = [status] * 10
    with pytest.raises(WeightsError, match=str(status)) as caught:
        fetch(server.url, folder / "net.pdparams")
    assert len(server.requests) == 1
    assert server.url in str(caught.value.hint)
    assert str(folder / "net.pdparams") in str(caught.value.hint)


def test_a_busy_server_is_retried(server: Server, folder: Path) -> None:
    server.statuses = [503, 500]
    assert fetch(server.url, folder / "net.pdparams").read_bytes() == CONTENT
    server.statuses = [503] * 20
    with pytest.raises(WeightsError, match="503"):
        fetch(server.url, folder / "other.pdparams")


def test_a_server_that_falls_silent(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_READ_TIMEOUT", 0.3)
    server.stalls = 1
    assert fetch(server.url, folder / "net.pdparams", md5=MD5).read_bytes() == CONTENT


def test_no_server_answers(folder: Path) -> None:
    with pytest.raises(WeightsError, match="no connection") as caught:
        fetch("http://127.0.0.1:9/net.pdparams", folder / "net.pdparams")
    assert "put it at" in str(caught.value.hint)


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WeightsError, match="cannot keep") as caught:
        fetch(server.url, tmp_path / "file" / "net.pdparams")
    assert "PADDLE_FINETUNE_WEIGHTS" in str(caught.value.hint)


def test_offline_names_the_file_and_its_place(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_FINETUNE_OFFLINE", "1")
    with pytest.raises(WeightsError, match="PADDLE_FINETUNE_OFFLINE") as caught:
        resolve_weights(get_spec("resnet50"), True)
    assert "https://paddle-hapi.bj.bcebos.com/models/resnet50.pdparams" in str(caught.value.hint)
    assert str(folder / "resnet50.pdparams") in str(caught.value.hint)
    (folder).mkdir()
    (folder / "net.pdparams").write_bytes(CONTENT)
    assert fetch(server.url, folder / "net.pdparams", md5=MD5)
    assert server.requests == []
    (folder / "net.pdparams").write_bytes(CONTENT[:-1])
    with pytest.raises(WeightsError, match=r"net\.pdparams has a wrong checksum") as caught:
        fetch(server.url, folder / "net.pdparams", md5=MD5)
    assert "-o model.pretrained=FILE" in str(caught.value.hint)


def test_a_file_that_fails_its_checksum_is_named_and_replaced(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder.mkdir()
    path = folder / "net.pdparams"
    path.write_bytes(b"damaged")
    with pytest.raises(WeightsError) as caught:
        fetch("http://127.0.0.1:9/net.pdparams", path, md5=MD5)
    assert f"{path} has a wrong checksum (expected md5 {MD5})" in capsys.readouterr().err
    assert "-o model.pretrained=FILE" in str(caught.value.hint)
    assert fetch(server.url, path, md5=MD5).read_bytes() == CONTENT


def test_a_mirror_serves_paddles_weights(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDLE_FINETUNE_MIRROR", f"http://127.0.0.1:{server.server_address[1]}/mirror/")
    assert mirrored("https://a/b/c.pdparams").endswith("/mirror/c.pdparams")
    row = get_spec("resnet18")
    assert row.weights is not None
    spec = NetworkSpec(**{**vars(row), "weights": PretrainedWeights(row.weights.url, MD5)})
    assert resolve_weights(spec, True) == folder / "resnet18.pdparams"
    assert server.requests == [("/mirror/resnet18.pdparams", None)]


def test_two_threads_download_once(server: Server, folder: Path) -> None:
    paths: list[Path] = []

    def work_once() -> None:
        paths.append(fetch(server.url, folder / "net.pdparams", md5=MD5))

    work = [threading.Thread(target=work_once) for _ in range(4)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert [p.read_bytes() == CONTENT for p in paths] == [True] * 4
    assert len(server.requests) == 1


def test_the_cache_is_paddles_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PADDLE_FINETUNE_WEIGHTS")
    from paddle.utils.download import WEIGHTS_HOME

    assert weights_folder() == Path(WEIGHTS_HOME)


def test_files_of_two_urls_do_not_mix(server: Server, tmp_path: Path) -> None:
    server.content = weights_file(tmp_path)
    first = resolve_weights(get_spec("resnet18"), server.url)
    second = resolve_weights(get_spec("resnet18"), server.url.replace("x=1", "x=2"))
    assert first is not None
    assert second is not None
    assert first != second
    assert first.name == second.name == "net.pdparams"


def test_a_url_becomes_a_network(server: Server, tmp_path: Path) -> None:
    server.content = weights_file(tmp_path)
    assert create_network("lenet", 3, pretrained=server.url).num_classes == 3
    server.content = b"<html>no weights</html>"
    for _ in range(2):  # such a file is not kept
        with pytest.raises(WeightsError, match="not a weights file"):
            create_network("lenet", 3, pretrained=server.url.replace("net", "page"))
    assert [path for path, _ in server.requests].count("/models/page.pdparams?x=1") == 2


def test_weights_without_a_checksum_are_read_before_they_are_kept(server: Server, folder: Path, tmp_path: Path) -> None:
    spec = replace(get_spec("lenet"), weights=PretrainedWeights(server.url))
    server.content = b"<html>please log in</html>"
    with pytest.raises(WeightsError, match=r"net\.pdparams\?x=1 returned a file that cannot be used") as caught:
        resolve_weights(spec, True)
    assert f"put it at {folder / 'net.pdparams'}" in str(caught.value.hint)
    assert not (folder / "net.pdparams").exists()
    server.content = weights_file(tmp_path)
    assert resolve_weights(spec, True) == folder / "net.pdparams"
    assert (folder / "net.pdparams").read_bytes() == server.content


def test_a_resumed_download_that_cannot_be_read_starts_over(server: Server, folder: Path, tmp_path: Path) -> None:
    spec = replace(get_spec("lenet"), weights=PretrainedWeights(server.url))
    server.content = weights_file(tmp_path)
    folder.mkdir()
    (folder / "net.pdparams.part").write_bytes(b"damaged" * 100)
    (folder / "net.pdparams.part.tag").write_text('"v1"')
    assert resolve_weights(spec, True) == folder / "net.pdparams"
    assert (folder / "net.pdparams").read_bytes() == server.content
    assert [wanted for _, wanted in server.requests] == ["bytes=700-", None]


@pytest.mark.parametrize("name", ["vgg11", "vgg13", "vgg16_bn", "mobilenet_v2_x0_5", "lenet"])
def test_networks_without_weights_are_refused_with_a_hint(name: str) -> None:
    with pytest.raises(WeightsError, match=f"Paddle has no weights for {name}") as caught:
        resolve_weights(get_spec(name), True)
    assert "model.pretrained" in str(caught.value.hint)


def test_a_network_without_weights_is_refused() -> None:
    with pytest.raises(WeightsError, match="Paddle has no weights for lenet"):
        create_network("lenet", 2, pretrained=True)


def test_local_files(tmp_path: Path) -> None:
    spec = get_spec("lenet")
    (tmp_path / "best.pdparams").write_bytes(b"x")
    assert resolve_weights(spec, False) is None
    assert resolve_weights(spec, tmp_path / "best.pdparams") == tmp_path / "best.pdparams"
    assert resolve_weights(spec, str(tmp_path / "best")) == tmp_path / "best.pdparams"
    with pytest.raises(WeightsError, match="does not exist"):
        resolve_weights(spec, tmp_path / "none.pdparams")
    with pytest.raises(WeightsError, match="is a folder"):
        resolve_weights(spec, str(tmp_path))
