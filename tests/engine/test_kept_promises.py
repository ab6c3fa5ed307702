"""Damaged files, NaN weights and failing user functions cost one line of output, and no data."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from tests.jobs import digits_jobs, untrained_weights
from toolkit.advise.measure import measure
from toolkit.advise.request import request_of
from toolkit.cache.index import DamagedIndexError, read_index
from toolkit.cache.store import usable_store
from toolkit.callbacks import CSVLogger, LambdaCallback
from toolkit.config import CacheConfig, Config
from toolkit.core.errors import ConfigError, DivergedError, ToolkitError, TrainingError
from toolkit.core.files import clear_os_errors, write_text
from toolkit.engine import RunFolder, Trainer, build_job
from toolkit.engine.runs.resume import unfinished_run

Make = Callable[..., Config]
DEEP = "[" * 100_000


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return digits_jobs(
        tmp_path,
        model={"name": "resnet18", "pretrained": False},
        data={"samples_per_class": 8, "batch_size": 16},
        transfer={"preset": "scratch"},
        train={"epochs": 2, "lr": 0.01},
        cache={"enabled": False},
    )


@pytest.mark.parametrize("text", ['{"finished": ', "\0\0\0", DEEP, "[]", '"x"', "\udcff"])
def test_a_damaged_record_is_one_line_and_stops_no_other_run(
    text: str, make: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make()
    good, damaged = RunFolder.create(config), RunFolder.create(config)
    damaged.record.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(TrainingError, match=r"run\.json cannot be read: .* — restore it"):
        damaged.read_record()
    found = unfinished_run(config)
    assert found is not None
    assert found.path == good.path
    assert "job-2 is skipped" in capsys.readouterr().err.replace("\n", "")


def test_damaged_lines_of_metrics_are_skipped_with_a_warning(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    folder = RunFolder.create(make())
    lines = [b'{"epoch": 1}', b"\0\0\0\0", b'{"epoch": 2', b"\xff\xfe", b"[1]", DEEP.encode(), b'{"epoch": 2}', b'{"ep']
    folder.metrics.write_bytes(b"\n".join(lines))
    assert [line["epoch"] for line in folder.read_metrics()] == [1, 2]
    assert "5 line(s) are damaged" in capsys.readouterr().err.replace("\n", "")
    folder.keep_metrics_until(1)
    assert folder.metrics.read_text() == '{"epoch": 1}\n'


def test_an_index_of_the_cache_that_is_too_deep_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "entry.json").write_text(DEEP)
    with pytest.raises(DamagedIndexError):
        read_index(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_only_regular_files_are_moved_or_replaced(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe.csv", tmp_path / "folder.csv"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        logger = CSVLogger(path)
        with pytest.raises(ConfigError, match="not a regular file"):
            logger.on_train_begin()
        with pytest.raises(ToolkitError, match=r"not a regular file|directory"), clear_os_errors(str(path)):
            write_text(path, "x")
    assert sorted(tmp_path.iterdir()) == [folder, pipe]


def test_a_name_that_is_too_long_is_one_line(make: Make) -> None:
    with pytest.raises(ToolkitError, match="too long"):
        RunFolder.create(make(name="x" * 300))


@pytest.mark.parametrize("on_nan", ["stop", "backoff"])
def test_a_nan_weight_hidden_by_a_relu_is_noticed(on_nan: str, make: Make) -> None:
    job = build_job(make(train={"on_nan": on_nan}))
    name, weight = next((key, each) for key, each in job.network.named_parameters() if len(each.shape) == 4)
    damaged: list[int] = []

    def damage(epoch: int, logs: Any) -> None:
        if not damaged and epoch == 0:
            damaged.append(epoch)
            value = weight.numpy()
            value[0, 0, 0, 0] = np.nan
            weight.set_value(paddle.to_tensor(value))

    steps = len(job.loader(job.data.train, training=True, shared=True))
    callback = LambdaCallback(on_train_batch_end=lambda step, logs: damage(0, logs) if step == steps - 1 else None)
    trainer = Trainer(job, [callback])
    if on_nan == "backoff":
        assert trainer.fit().last["epoch"] == 2
        return
    with pytest.raises(DivergedError, match=f"{name} became NaN or infinite in epoch 1"):
        trainer.fit()


@pytest.mark.parametrize("hook", ["on_epoch_end", "on_eval_end"])
def test_a_function_that_fails_is_named_and_loses_no_epoch(hook: str, make: Make) -> None:
    calls: list[int] = []

    def fail(*arguments: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("mine")

    config = make()
    line = fail.__code__.co_firstlineno + 3
    with pytest.raises(TrainingError, match=rf"ValueError: mine \({__file__}:{line}\)"):
        Trainer(build_job(config), [LambdaCallback(**{hook: fail})]).fit()
    folder = unfinished_run(config)
    assert folder is not None
    first = json.loads(folder.metrics.read_text().splitlines()[0])
    assert first["epoch"] == 1
    seen: list[int] = []
    trainer = Trainer(build_job(config), [LambdaCallback(on_train_batch_end=lambda step, logs: seen.append(step))])
    resumed = trainer.fit("auto")
    assert not seen  # both epochs were trained already
    other = Trainer(build_job(make(name="other"))).fit()
    assert resumed.last == other.last


def test_a_cache_that_cannot_be_written_does_not_end_a_run(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").write_text("a file")
    weights = untrained_weights("resnet18", None, tmp_path)
    sections = {"model": {"pretrained": str(weights)}, "transfer": {"preset": "linear_probe"}}
    place = {"dir": tmp_path / "taken" / "cache"}
    result = Trainer(build_job(make(**sections, cache={**place, "enabled": "auto"}))).fit()
    said = capsys.readouterr().err.replace("\n", " ")
    assert said.count("cannot be written") == 1
    assert result.last == Trainer(build_job(make(**sections, cache={"enabled": "auto"}))).fit().last
    with pytest.raises(ToolkitError, match="cache"):
        Trainer(build_job(make(**sections, cache={**place, "enabled": True}))).fit()
    assert usable_store(place["dir"], None).folder != place["dir"]
    monkeypatch.setattr("toolkit.cache.store.world_size", lambda: 2)
    assert usable_store(place["dir"], None).folder == place["dir"]  # as with true


def test_a_measurement_that_cannot_be_kept_is_used(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken").write_text("a file")
    config = make(model={"pretrained": str(untrained_weights("resnet18", None, tmp_path))})
    request = request_of(config)
    found = measure(request, sample=16, cache=CacheConfig(dir=tmp_path / "taken" / "cache"))
    assert found.sample
    assert "it is used but not saved" in capsys.readouterr().err.replace("\n", " ")
