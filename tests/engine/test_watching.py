"""Monitored runs: VisualDL, reports to a server, and averaged weights."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from paddle.callbacks import Callback
from visualdl import LogReader

from tests.engine.run_helpers import lines_of
from toolkit.config import Config, with_overrides
from toolkit.core.errors import ConfigError
from toolkit.deploy import Dashboard
from toolkit.engine import Trainer
from toolkit.engine.visuals import _spread

SECRET = "s3cret-t0ken"
RECORD = "vdlrecords.run.log"


class Failing(Callback):
    """Raises in a step."""

    def on_train_batch_end(self, step: int, logs: Any = None) -> None:
        if step == 1:
            raise OSError("no space in /mnt/big/disk")


def reader_of(folder: Path) -> LogReader:
    return LogReader(file_path=str(folder / "vdl" / RECORD))


def tags(folder: Path, kind: str) -> list[str]:
    return [tag.replace("%", "/") for tag in reader_of(folder).get_tags().get(kind, [])]


def curve(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(item.id, item.value) for item in reader_of(folder).get_data("scalar", tag)]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a server, and the reports it received."""
    for name in ("ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append({**body, "authorization": self.headers["Authorization"]})
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", got
    server.shutdown()
    server.server_close()


def watched(make: Callable[..., Config], **log: Any) -> Config:
    return make(log={"visualdl": True, "every": 1, **log}, train={"epochs": 3})


def test_a_run_shows_everything_that_was_asked_for(make: Callable[..., Config]) -> None:
    config = watched(make, histograms=2, mistakes=3, embeddings=7)
    folder = Trainer.from_config(config).fit().folder.path
    assert tags(folder, "histogram") == [f"{kind}/fc.{name}" for kind in ("gradients", "weights") for name in ("weight", "bias")]  # fmt: skip  # noqa: E501
    mistakes = [tag for tag in tags(folder, "image") if tag.startswith("mistakes (val)/")]
    assert 1 <= len(mistakes) <= 3
    for tag in mistakes:
        true, _, predicted = tag.rpartition("/")[2][3:].partition(" taken for ")
        assert {true, predicted} < {"5", "6", "7"}
        assert true != predicted
    (item,) = reader_of(folder).get_data("embeddings", "features of val images")
    assert len(item.embeddings.embeddings) == 7
    assert {len(one.vectors) for one in item.embeddings.embeddings} == {6}
    assert list(item.embeddings.label_meta) == ["label", "predicted"]
    graph = json.loads((folder / "vdl" / "vdlgraph.run.log").read_text(encoding="utf-8"))
    assert {node["attrs"].get("in this run") for node in graph["nodes"]} == {None, "frozen", "trained"}


def test_by_default_no_images_are_evaluated_again(make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.visuals._look", lambda *args: pytest.fail("looked"))
    folder = Trainer.from_config(watched(make, sample_images=0, graph=False)).fit().folder.path
    assert tags(folder, "image") + tags(folder, "histogram") + tags(folder, "embeddings") == []
    assert [path.name for path in (folder / "vdl").iterdir()] == [RECORD]


@pytest.mark.parametrize("count", [1, 5, 9])
def test_shown_images_are_spread_over_the_set(count: int) -> None:
    found = _spread(9, count)
    assert (found[0], len(set(found))) == (0, count)
    assert count == 1 or found[-1] == 8
    assert np.all(np.diff(found) > 0)


@pytest.mark.slow
def test_the_dashboard_shows_one_unbroken_curve_of_a_resumed_run(make: Callable[..., Config]) -> None:
    class Killed(Callback):
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            if self.model.stop_training is False and killed and step == 1:
                raise KeyboardInterrupt

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            killed[:] = [epoch] if epoch == 2 else []

    killed: list[int] = []
    config = make(name="鸟", log={"visualdl": True, "every": 1}, train={"epochs": 4})
    whole = Trainer.from_config(with_overrides(config, name="whole")).fit().folder.path
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        patch.setattr("toolkit.engine.trainer.custom_callbacks", lambda config: [Killed()])
        with pytest.raises(KeyboardInterrupt):
            Trainer.from_config(config).fit()
    folder = config.output_dir / "鸟"
    Trainer.from_config(config).fit(resume=folder)
    assert len(list((folder / "vdl").glob("*vdlrecords*"))) == 1
    for tag in ("train/loss", "train/top1", "lr/head", "val/loss", "val/top1"):
        assert curve(folder, tag) == curve(whole, tag)
    with Dashboard(config.output_dir) as dashboard:
        query = urllib.parse.urlencode({"run": "runs/鸟/vdl", "tag": "train/loss"})
        address = f"{dashboard.address}app/api/scalar/list?{query}"
        request = urllib.request.Request(address, headers={"Accept-Language": "en"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=200) as answer:
            shown = json.loads(answer.read())["data"]
    assert [point[1] for point in shown] == list(range(1, len(curve(whole, "train/loss")) + 1))


def test_a_server_receives_a_run_and_the_token_is_written_nowhere(
    make: Callable[..., Config],
    told: tuple[str, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url, got = told
    monkeypatch.setenv("MONITOR_TOKEN", SECRET)
    config = make(callbacks={"remote_monitor": {"url": url, "token_env": "MONITOR_TOKEN"}}, log={"visualdl": True})
    folder = Trainer.from_config(config).fit().folder.path
    assert [(line["event"], line["epoch"], line["run"]) for line in got] == [
        ("begin", 0, "job"), ("epoch", 1, "job"), ("epoch", 2, "job"), ("end", 2, "job")
    ]  # fmt: skip
    assert {line["authorization"] for line in got} == {f"Bearer {SECRET}"}
    assert {"train/loss", "val/loss", "val/top1"} <= set(got[1]["metrics"])
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in content for content in files)
    assert SECRET not in "".join(capsys.readouterr())


def test_a_server_receives_a_failure(make: Callable[..., Config], told: tuple[str, list[dict[str, Any]]]) -> None:
    url, got = told
    config = make(callbacks={"remote_monitor": url, "custom": [f"{__name__}.Failing"]})
    with pytest.raises(Exception, match="no space"):
        Trainer.from_config(config).fit()
    assert [line["event"] for line in got] == ["begin", "failed"]
    assert "no space in disk" in got[1]["reason"]
    assert "/mnt" not in got[1]["reason"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"url": "ftp://host/"}, "http:// or https://"),
        ({"url": f"https://me:{SECRET}@host/"}, "use token_env"),
        ({"url": "https://host/", "token_env": f"{SECRET}!"}, "expected the name of an environment variable"),
        ({"url": "https://host/", "queue": 0}, "callbacks.remote_monitor.queue"),
    ],
)
def test_a_wrong_remote_monitor_is_a_config_error(
    section: dict[str, Any], words: str, make: Callable[..., Config]
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        make(callbacks={"remote_monitor": section})
    assert SECRET not in str(caught.value)


def test_a_missing_token_leaves_no_folder_behind(make: Callable[..., Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONITOR_TOKEN", raising=False)
    config = make(callbacks={"remote_monitor": {"url": "https://host/", "token_env": "MONITOR_TOKEN"}})
    with pytest.raises(ConfigError, match="MONITOR_TOKEN is not set"):
        Trainer.from_config(config).fit()
    assert not config.output_dir.exists()


@pytest.mark.parametrize("kind", ["ema", "last"])
def test_averages_are_evaluated_beside_the_weights_and_do_not_change_them(
    kind: str, make: Callable[..., Config]
) -> None:
    averaging = {"kind": kind, "decay": 0.9, "last": 2}
    plain = Trainer.from_config(make(name="plain", train={"epochs": 3})).fit()
    run = Trainer.from_config(
        make(name="averaged", train={"epochs": 3}, callbacks={"weight_averaging": {**averaging, "keep": "raw"}})
    ).fit()
    lines, bare = lines_of(run.folder), lines_of(plain.folder)
    for line, other in zip(lines, bare, strict=True):
        assert {key: line["val"][key] for key in other["val"]} == other["val"]
        assert line["train"] == other["train"]
    assert "avg_top1" in lines[-1]["val"]
    assert lines[-1]["val"]["avg_loss"] != lines[-1]["val"]["loss"]
