"""Whatever happens to a feature cache between two runs is noticed and repaired; wrong features are never used.

Each test trains the same job at least twice. Computing features is reported, and all runs end with the same numbers.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paddle
import pytest

import toolkit.engine.features.cache
from tests.disks import mount, mounted_disk, pretend_free
from tests.jobs import THIN_TRAIN
from toolkit.cache import FeatureStore
from toolkit.config import Config, dump_config
from toolkit.core.errors import ToolkitError
from toolkit.engine import Trainer
from toolkit.engine.features.extract import extract
from toolkit.zoo import create_network, write_weights

Make = Callable[..., Config]
ALL_DIGITS: dict[str, Any] = {"data": {"classes": None, "samples_per_class": None, "batch_size": 64}}
ONE_STAGE = {"max_size": 66 * 128 * 4 + 6000}
"""Room for the features of one stage, with their lists."""


def losses(folder: Path) -> list[tuple[float, float]]:
    """Training and validation losses, one pair per epoch."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(line["train"]["loss"], line["val"]["loss"]) for line in lines]


def train(config: Config) -> list[tuple[float, float]]:
    return losses(Trainer.from_config(config).fit().folder.path)


def shards(config: Config) -> list[Path]:
    return sorted(Path(config.cache.dir).glob("*/shard-*.npy"))


def finished(config: Config) -> list[Path]:
    """Shards that are listed as complete."""
    listed = {path.parent / name for path in Path(config.cache.dir).glob("*/entry.json") for name in names_in(path)}
    return [path for path in shards(config) if path in listed]


def names_in(index: Path) -> list[str]:
    return list(json.loads(index.read_text(encoding="utf-8"))["shards"])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-50] ^= 4
    path.write_bytes(data)


def test_a_second_run_computes_nothing(make: Make, capsys: Any) -> None:
    first = train(make())
    assert capsys.readouterr().err.count("computed once at") == 2
    assert train(make()) == first
    assert "computed once at" not in capsys.readouterr().err


@pytest.mark.parametrize("which", [0, 1])
def test_a_flipped_bit_is_found_and_repaired(make: Make, capsys: Any, which: int) -> None:
    first = train(make())
    flip_a_bit(shards(make())[which])
    capsys.readouterr()
    assert train(make()) == first
    said = capsys.readouterr().err
    assert "shard-00000.npy is damaged (wrong checksum); computing it again" in said
    assert said.count("computed once at") == 1
    assert FeatureStore(Path(make().cache.dir)).verify() == []


def test_features_of_another_version_are_not_used(make: Make, capsys: Any) -> None:
    first = train(make())
    for path in Path(make().cache.dir).glob("*/entry.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    for shard in shards(make()):
        flip_a_bit(shard)
    capsys.readouterr()
    assert train(make()) == first
    said = capsys.readouterr().err
    assert said.count("of another version of the toolkit (format 99, not 2); ignoring it") == 2
    assert said.count("computed once at") == 2


def test_features_of_other_weights_are_not_used(make: Make, tmp_path: Path, capsys: Any) -> None:
    train(make())
    paddle.seed(8)
    write_weights(create_network("resnet18", 5).state_dict(), tmp_path / "other.pdparams")
    other = {"name": "resnet18", "pretrained": str(tmp_path / "other.pdparams")}
    capsys.readouterr()
    cached = train(make(model=other))
    assert capsys.readouterr().err.count("computed once at") == 2
    uncached = train(make(model=other, cache={"enabled": False}))
    np.testing.assert_allclose(cached, uncached, rtol=1e-4)
    assert len(FeatureStore(Path(make().cache.dir)).list()) == 4


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Dark and light noise, as files of equal size."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 4)):
        for name, brightness in (("dark", 0), ("light", 100)):
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 100, (40, 40, 3)) + brightness
                assert cv2.imwrite(str(folder / f"{number}.bmp"), pixels.astype(np.uint8))
    return tmp_path / "pictures"


@pytest.mark.parametrize("fingerprint", ["stat", "content"])
@pytest.mark.parametrize("touched", [True, False])
def test_images_that_changed_on_disk(make: Make, pictures: Path, fingerprint: str, touched: bool, capsys: Any) -> None:
    data = {"format": "folder", "root": pictures, "classes": None, "samples_per_class": None, "augment": "none"}
    config = make(data=data, cache={"fingerprint": fingerprint})
    before = train(config)
    path = pictures / "train" / "light" / "3.bmp"
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    assert cv2.imwrite(str(path), np.zeros((40, 40, 3), np.uint8))
    os.utime(path, ns=(times[0], times[1] + touched))
    noticed = touched or fingerprint == "content"
    capsys.readouterr()
    after = train(config)
    assert capsys.readouterr().err.count("computed once at") == noticed  # the training images only
    assert (after != before) is noticed
    if noticed:
        np.testing.assert_allclose(after, train(make(data=data, cache={"enabled": False})), rtol=1e-4)


def test_images_cached_in_memory_are_not_used(
    make: Make, pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """They may be older than their files, and processes that read images do not have them."""
    sources = []

    def spy(split: Any, program: Any, source: Any, rows: range) -> Any:
        sources.append(pickle.dumps(source))
        return extract(split, program, source, rows)

    monkeypatch.setattr(toolkit.engine.features.cache, "extract", spy)
    data = {"format": "folder", "root": pictures, "classes": None, "samples_per_class": None, "augment": "none"}
    trainer = Trainer.from_config(make(data={**data, "cache_images": "memory"}))
    before = losses(trainer.fit().folder.path)
    assert trainer.job.image_cache is not None
    assert len(trainer.job.image_cache) == 0
    assert len(sources) == 2
    assert before == train(make(data=data))


def test_a_damaged_cache_does_not_count_towards_its_limit(make: Make, capsys: Any) -> None:
    config = make(cache=ONE_STAGE)
    before = train(config)
    for index in Path(config.cache.dir).glob("*/entry.json"):
        index.write_text("{")
    capsys.readouterr()
    assert train(config) == before
    assert capsys.readouterr().err.count("computed once at") == 2


def test_the_oldest_features_are_removed(make: Make, capsys: Any) -> None:
    highest = train(make(cache=ONE_STAGE))
    transfer = {"preset": "custom", "freeze": "layer2.1", "backbone_lr": 0.1}
    lower = make(transfer=transfer, data={"augment": "none"}, cache={**ONE_STAGE, "enabled": True})
    with pytest.raises(ToolkitError, match=r"cache.max_size allows 39.8 kB.*raise cache.max_size"):
        train(lower)
    assert len(shards(lower)) == 2
    seeded = make(cache=ONE_STAGE, data={"crop_ratio": 0.5})
    capsys.readouterr()
    train(seeded)
    assert "of least recently used features removed to make room" in capsys.readouterr().err
    assert len(shards(seeded)) == 2
    assert train(make(cache=ONE_STAGE)) == highest
    assert capsys.readouterr().err.count("computed once at") == 2


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    with mounted_disk(tmp_path / "disk", "256k") as folder:
        yield folder


@pytest.mark.slow
def test_a_full_disk(make: Make, small_disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    config = make(**ALL_DIGITS, cache={"dir": small_disk / "cache"})
    with pytest.raises(ToolkitError, match=r"the disk has 262.1 kB free.*or use cache.enabled: false"):
        train(config)
    assert not shards(config)
    with monkeypatch.context() as patch, pytest.raises(ToolkitError, match=r"\(256 of \d+ rows are kept\).*disk is"):
        pretend_free(patch, 10**9)  # another program fills the disk meanwhile
        train(config)
    kept = [path.stat().st_mtime_ns for path in shards(config)]
    assert len(kept) == 1
    mount("-o", "remount,size=20m", small_disk)
    capsys.readouterr()
    found = train(config)
    assert kept[0] in [path.stat().st_mtime_ns for path in shards(config)]
    assert FeatureStore(small_disk / "cache").verify() == []
    assert found == train(make(**ALL_DIGITS))  # in a new cache


def start(config: Config) -> subprocess.Popen[str]:
    """Train in a process with one thread: with several, MKL may round differently when processes share the cores."""
    path = config.output_dir / f"{config.name}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(dump_config(config), encoding="utf-8")
    command, alone = [sys.executable, "-c", THIN_TRAIN, "-c", str(path)], {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=alone, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.multiprocess
def test_a_run_that_is_killed_while_it_fills(make: Make) -> None:
    config = make(**ALL_DIGITS)
    process = start(config)
    deadline = time.monotonic() + 600
    while not finished(config) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in finished(config)}
    assert 1 <= len(kept) < 6
    again = start(config)
    said = again.communicate()[1]
    assert again.returncode == 0, said
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert FeatureStore(Path(config.cache.dir)).verify() == []
    run = max(config.output_dir.glob("*/metrics.jsonl"), key=lambda path: path.stat().st_mtime_ns).parent
    undisturbed = make(**ALL_DIGITS, name="undisturbed", cache={"dir": config.output_dir / "new"})
    start(undisturbed).communicate()
    assert losses(run) == losses(undisturbed.output_dir / undisturbed.name)


@pytest.mark.slow
@pytest.mark.multiprocess
def test_two_runs_that_fill_one_cache_at_once(make: Make) -> None:
    configs = [make(**ALL_DIGITS, name=name) for name in ("one", "two")]
    processes = [start(config) for config in configs]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert sum(words.count("computed once at") for words in said) == 2
    store = FeatureStore(Path(configs[0].cache.dir))
    assert store.verify() == []
    assert [entry.complete for entry in store.list()] == [True, True]
    one, two = (losses(config.output_dir / config.name) for config in configs)
    assert one == two
