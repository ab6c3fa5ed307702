"""``tools/cache.py`` and the ``cache`` section of the configuration."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolkit.cache import CacheKey, FeatureStore
from toolkit.commands.cache import manage
from toolkit.config import CacheConfig, dump_config, load_config, make_config
from toolkit.core.errors import ConfigError

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three entries, last used now, 10 and 40 days ago; the oldest is not complete."""
    store = FeatureStore(tmp_path / "[cache]")
    for view, days in ((0, 0), (1, 10), (2, 40)):
        key = CacheKey("mobilenet_v2", "block[13]", False, "w", {}, "i", "float16", view=view, title="训练")
        entry = store.entry(key.facts())
        with entry.writing(5, (100,), "float16") as writer:
            writer.append(np.zeros((4 if days == 40 else 5, 100), np.float32))
        os.utime(entry.folder / "used", (time.time() - days * 86400,) * 2)
    return store.folder


def test_list(folder: Path, run_here: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run_here("cache", "list", "--dir", folder)
    assert code == 0
    words = ("[cache]", "mobilenet_v2", "block[13]", "训练", "float16", "centre", "yes", "no", time.strftime("%Y-"))
    assert [word for word in words if word not in out] == []
    _, out, _ = run_here("cache", "list", "--dir", folder, "--json")
    found = json.loads(out)
    assert [(entry["facts"]["view"], entry["complete"]) for entry in found["entries"]] == [
        (0, True), (1, True), (2, False),
    ]  # fmt: skip
    assert found["bytes"] == sum(entry["bytes"] for entry in found["entries"])


def test_prune(folder: Path, run_here: Run) -> None:
    prune = ("prune", "--dir", folder, "--json")
    assert json.loads(run_here("cache", *prune, "--older-than", "30d")[1])["entries"] == 2
    assert json.loads(run_here("cache", *prune, "--max-size", "1GB")[1])["freed"] == 0
    assert json.loads(run_here("cache", *prune, "--max-size", "3kB")[1])["entries"] == 1
    said = json.loads(run_here("cache", *prune, "--all")[1])
    assert (said["entries"], said["bytes"]) == (0, 0)
    assert said["freed"] > 1000
    assert "no features" in run_here("cache", "list", "--dir", folder)[1]


def test_verify(folder: Path, run_here: Run) -> None:
    assert "3 entries, no problems" in run_here("cache", "verify", "--dir", folder)[1]
    shard = next(folder.glob("*/shard-00000.npy"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    code, out, _ = run_here("cache", "verify", "--dir", folder)
    assert (code, "wrong checksum" in out) == (1, True)
    code, out, _ = run_here("cache", "verify", "--dir", folder, "--fix", "--json")
    assert code == 0
    assert [problem["fixed"] for problem in json.loads(out)["problems"]] == [True]
    assert "no problems" in run_here("cache", "verify", "--dir", folder)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prune",), "give --max-size 5GB, --older-than 30d, or --all"),
        (("prune", "--max-size", "5 potatoes"), "expected a size like 5GB (found '5 potatoes')"),
        (("prune", "--older-than", "soon"), "expected an age like 30d"),
        (("prune", "--all", "--fix"), "prune does not accept --fix"),
        (("list", "--all"), "it belongs to prune"),
        (("burn",), "invalid choice"),
    ],
)
def test_bad_arguments(folder: Path, run_here: Run, words: tuple[str, ...], message: str) -> None:
    code, out, err = run_here("cache", *words, "--dir", folder)
    assert code == 2
    assert not out
    assert message in err
    assert len(list(folder.glob("*/entry.json"))) == 3


def test_a_cache_that_is_not_there(tmp_path: Path) -> None:
    for action in ("list", "verify"):
        assert manage(action, tmp_path / "none").json["dir"] == str(tmp_path / "none")  # type: ignore[arg-type]
    assert manage("prune", tmp_path / "none", everything=True).json["freed"] == 0
    assert not (tmp_path / "none").exists()


def test_by_default_the_tool_looks_where_runs_keep_features() -> None:
    assert manage("list").json["dir"] == str(CacheConfig().dir.expanduser())


# The configuration


def test_a_size_is_bytes_and_comes_back_from_yaml(tmp_path: Path) -> None:
    for text, size in (("20GB", 20 * 10**9), ("1.5 GiB", 3 * 2**29), (1000, 1000), (None, None)):
        config = make_config({"name": "a", "model": "resnet18", "cache": {"max_size": text}})
        assert config.cache.max_size == size
        (tmp_path / "a.yaml").write_text(dump_config(config))
        assert load_config(tmp_path / "a.yaml") == config
    assert CacheConfig().max_size == 20 * 10**9


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_size": "20GX"}, "expected a size, for example 20GB (found '20GX')"),
        ({"max_size": 0}, "expected a size"),
        ({"max_size": "-5GB"}, "expected a size"),
        ({"max_size": True}, "expected a size"),
        ({"views": 0}, "greater than or equal to 1"),
        ({"dtype": "float6"}, "did you mean float16?"),
        ({"engine": "onx"}, "did you mean onnx?"),
        ({"fingerprint": "contents"}, "did you mean content?"),
    ],
)
def test_bad_values_are_explained(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"name": "a", "model": "resnet18", "cache": values})
    assert words in str(caught.value)
