"""Features of frozen stages: engines agree, boundaries build on each other, and views are the epochs' augmentations."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

import toolkit.engine.features.cache
import toolkit.engine.features.source
import toolkit.inference.verdicts
from tests.engine.run_helpers import lines_of
from toolkit.cache import FeatureStore
from toolkit.config import CacheConfig, Config
from toolkit.core.errors import DeployError, ToolkitError
from toolkit.data import BatchLoader, ImageSet
from toolkit.engine import Job, Trainer, build_job, predict_outputs
from toolkit.engine.evaluate import loader_outputs
from toolkit.engine.features.cache import FeatureCache, Request, feature_dtype
from toolkit.engine.features.extract import FeatureRows, ImageRows, extract, few_rows
from toolkit.engine.features.policy import decide
from toolkit.engine.features.runners import StageSlice, choose_engine, traced
from toolkit.engine.features.source import FeatureSource
from toolkit.inference import TracedProgram, onnx_is_installed

Make = Callable[..., Config]
TWO_PHASES = [{"epochs": 1, "freeze": "all"}, {"epochs": 1, "freeze": "layer3.1", "backbone_lr": 0.5}]
BELOW = "layer3.1 float32"
ENGINES = [
    "dygraph",
    "paddle",
    pytest.param("onnx", marks=pytest.mark.skipif(not onnx_is_installed(), reason="no ONNX")),
]


def computed(stage_slice: StageSlice, source: Any, rows: range, engine: Any) -> list[np.ndarray]:
    with traced(stage_slice, (3, 32, 32), engine) as program:
        return list(extract(stage_slice, program, source, rows))


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(make: Make, engine: Any) -> None:
    job = build_job(make())
    loader = job.loader(job.data.val, training=False)
    images = next(iter(loader)).inputs
    job.network.eval()
    for stages in (3, 9):
        stage_slice = StageSlice(job.network, 0, stages)
        found = np.concatenate(computed(stage_slice, ImageRows(loader), range(len(images)), engine))
        with paddle.no_grad():
            expected = stage_slice(paddle.to_tensor(images)).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_engines_are_compared_on_four_images(make: Make) -> None:
    job = build_job(make())
    loader = job.loader(job.data.val, training=False)
    whole = np.concatenate([batch.inputs for batch in loader])
    np.testing.assert_array_equal(few_rows(loader)(), whole[[0, 17, 35, 53]])


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_computed_in_order_from_any_start(make: Make, engine: Any) -> None:
    job = build_job(make())
    loader = job.loader(job.data.val, training=False)
    stage_slice = StageSlice(job.network, 0, 9)
    stage_slice.eval()
    whole = np.concatenate(computed(stage_slice, ImageRows(loader), range(54), engine))
    rest = np.concatenate(computed(stage_slice, ImageRows(loader), range(40, 54), engine))
    np.testing.assert_allclose(rest, whole[40:], rtol=1e-4, atol=1e-5)


def test_the_engine_follows_device_and_number() -> None:
    assert choose_engine("auto", "cpu", 5) == "dygraph"
    assert choose_engine("auto", "cpu", 5000) == ("onnx" if onnx_is_installed() else "paddle")
    assert choose_engine("paddle", "gpu:0", 5000) == "dygraph"


def test_onnx_must_be_installed_to_be_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.features.runners.onnx_is_installed", lambda: False)
    with pytest.raises(ToolkitError, match="not installed"):
        choose_engine("onnx", "cpu", 5)


def test_a_network_that_cannot_be_traced_runs_in_dygraph(
    make: Make, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def refuse(*_: Any) -> None:
        raise DeployError("no program")

    monkeypatch.setattr("toolkit.engine.features.runners.save_program", refuse)
    job = build_job(make())
    source = ImageRows(job.loader(job.data.val, training=False))
    blocks = computed(StageSlice(job.network, 0, 9), source, range(8), "paddle")
    assert blocks[0].shape == (8, 128)
    assert "in dygraph, which is slower: no program" in capsys.readouterr().err


def test_features_never_come_from_an_engine_that_differs(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Nor from what it left in the cache; and training measures what evaluation measures."""
    sections: dict[str, Any] = {"transfer": {"preset": "custom", "phases": TWO_PHASES}, "data": {"augment": "none"}}
    Trainer.from_config(make(**sections, cache={"engine": "paddle", "dtype": "float32", "enabled": True})).fit()
    uncached = lines_of(Trainer.from_config(make(**sections, cache={"enabled": False})).fit().folder)
    load = TracedProgram.load
    wrong = {"paddle"}

    def disturbed(self: TracedProgram, threads: int) -> Any:
        run = load(self, threads)
        return (lambda x: run(x) * 1.5) if self.engine in wrong else run

    monkeypatch.setattr(TracedProgram, "load", disturbed)
    for engine in ("paddle without oneDNN", "dygraph"):
        folder = shutil.copytree(tmp_path / "cache", tmp_path / engine)
        monkeypatch.setattr(toolkit.inference.verdicts, "_FILE", str(folder / "engines.json"))
        capsys.readouterr()
        cache = {"engine": "paddle", "dtype": "float32", "enabled": True, "dir": folder}
        found = lines_of(Trainer.from_config(make(**sections, cache=cache)).fit().folder)
        said = capsys.readouterr().err
        assert said.count("is off by 0.5 of the largest output; computed by") == 2  # each of the two parts
        assert said.count(f"54 computed once at layer4.1 by {engine}\n") == 1
        entries = FeatureStore(folder).list()
        assert {entry.facts["engine"] for entry in entries} == {"paddle", engine}
        assert {entry.facts["below"] for entry in entries} == {"", BELOW, f"{BELOW} by {engine}"}
        losses, expected = ([line["val"]["loss"] for line in lines] for lines in (found, uncached))
        assert losses == pytest.approx(expected, rel=1e-3)
        wrong.add(engine)


def test_the_higher_boundary_is_computed_from_the_lower_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    sources: list[str] = []

    def spy(stage_slice: Any, program: Any, source: Any, rows: Any) -> Any:
        sources.append(type(source).__name__)
        return extract(stage_slice, program, source, rows)

    monkeypatch.setattr(toolkit.engine.features.cache, "extract", spy)
    config = make(transfer={"preset": "custom", "phases": TWO_PHASES}, data={"augment": "none"})
    Trainer.from_config(config).fit()
    assert sources == [ImageRows.__name__, FeatureRows.__name__] * 2


def test_a_lower_boundary_that_does_not_fit_is_not_cached(make: Make) -> None:
    """Pooled features fit the limit; the maps that the second phase would read do not."""
    phases = [{"epochs": 2, "freeze": "all"}, {"epochs": 2, "freeze": "layer1.0", "backbone_lr": 0.5}]
    sections: dict[str, Any] = {"transfer": {"preset": "custom", "phases": phases}, "data": {"augment": "none"}}
    limit = {"max_size": 66 * 128 * 4 + 6000}
    job = build_job(make(**sections, cache=limit))
    first, second = job.plan.phases
    assert decide(job, first, (second,)).boundaries == (9,)
    assert not decide(job, second).cached
    assert decide(build_job(make(**sections)), first, (second,)).boundaries == (2, 9)
    assert Trainer.from_config(make(**sections, cache=limit)).fit().last["epoch"] == 4


def test_features_from_a_lower_boundary_have_their_own_entry(make: Make) -> None:
    job = build_job(make(cache={"dtype": "float16"}))
    request = Request(job.loader(job.data.val, training=False), "images")
    cache = FeatureCache(job.network, job.config.cache)
    (alone,), (above,) = cache.fill([request], [9])[0], cache.fill([request], [2, 9])[0]
    rows = np.arange(54)
    assert np.asarray(alone[rows]).shape == np.asarray(above[rows]).shape
    keys = [entry.key for entry in FeatureStore(Path(job.config.cache.dir)).list()]
    assert len(set(keys)) == 3


def test_views_are_the_augmentations_of_the_first_epochs(make: Make) -> None:
    cached, uncached = (
        lines_of(Trainer.from_config(make(data={"augment": "standard"}, cache=cache)).fit().folder)
        for cache in ({"enabled": True, "views": 2}, {"enabled": False})
    )
    for split in ("train", "val"):
        losses = [line[split]["loss"] for line in cached]
        assert losses == pytest.approx([line[split]["loss"] for line in uncached], rel=1e-4)


def test_maps_are_kept_in_half_precision_and_pooled_features_are_not() -> None:
    auto, whole = CacheConfig(), CacheConfig(dtype="float32")
    assert [feature_dtype(auto, pooled=pooled) for pooled in (True, False)] == ["float32", "float16"]
    assert feature_dtype(whole, pooled=False) == "float32"


def test_half_precision_changes_little(make: Make) -> None:
    job = build_job(make())
    features = {}
    for dtype in ("float16", "float32"):
        cache = job.config.cache.model_copy(update={"dtype": dtype})
        request = Request(job.loader(job.data.val, training=False), "images")
        (features[dtype],) = FeatureCache(job.network, cache).fill([request], [5])[0]
    rows = np.arange(54)
    half, full = (features[dtype][rows].astype("float64") for dtype in ("float16", "float32"))
    assert features["float16"].dtype == np.float16
    np.testing.assert_allclose(half, full, rtol=1 / 2048, atol=1e-7)
    job.network.eval()
    with paddle.no_grad(), job.network.starting_at(5):
        found, expected = (job.network(paddle.to_tensor(each.astype("float32"))).numpy() for each in (half, full))
    assert 0 < np.abs(found - expected).max() <= 5e-4 * np.abs(expected).max()


def test_a_limit_that_is_too_small_is_an_error_before_anything_is_computed(make: Make) -> None:
    config = make(cache={"enabled": True, "max_size": "10kB"})
    with pytest.raises(ToolkitError, match=r"cache"):
        Trainer.from_config(config).fit()
    assert not list(Path(config.cache.dir).glob("*/shard-*.npy"))


@pytest.mark.parametrize(
    ("sections", "cached", "words"),
    [
        ({}, True, "on, 9 frozen stages process each image once instead of 2 times"),
        ({"data": {"augment": "standard"}}, False, "off, as augmentation"),
        ({"data": {"augment": "standard"}, "cache": {"views": 4}, "train": {"epochs": 9}}, True, "4 views"),
        ({"cache": {"enabled": False}}, False, ""),
        ({"transfer": {"preset": "all_stages"}}, False, ""),
        ({"cache": {"max_size": "1kB"}}, False, "more than cache.max_size"),
        ({"cache": {"max_size": "1kB", "engine": "paddle"}}, False, "9 frozen stages are computed by paddle"),
        (
            {"data": {"augment": "standard"}, "cache": {"views": 4}, "train": {"epochs": 2}},
            False,
            "off, as computing 9 stages for 4 views of each image takes longer",
        ),
    ],
)
def test_the_decision_says_why(make: Make, sections: dict[str, Any], cached: bool, words: str) -> None:
    job = build_job(make(**sections))
    decision = decide(job, job.plan.phases[0])
    assert decision.cached is cached
    assert words in decision.reason
    assert bool(words) == bool(decision.reason)


@pytest.mark.parametrize("engine", ENGINES)
def test_augmented_images_go_through_an_engine(make: Make, engine: Any) -> None:
    sections: dict[str, Any] = {
        "transfer": {"preset": "custom", "freeze": "layer3.1"},
        "data": {"augment": "standard"},
        "train": {"epochs": 3},
    }
    found, expected = (
        lines_of(Trainer.from_config(make(**sections, cache=cache)).fit().folder)
        for cache in ({"engine": engine}, {"enabled": False})
    )
    for split in ("train", "val"):  # rounding differs, and training on a dozen images amplifies it
        losses = [line[split]["loss"] for line in found]
        assert losses == pytest.approx([line[split]["loss"] for line in expected], rel=2e-2)


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_with_augmentation_validation_features_are_computed_once(
    make: Make, monkeypatch: pytest.MonkeyPatch, engine: Any, capsys: Any
) -> None:
    read: list[int] = []
    original = BatchLoader._fill

    def spy(self: BatchLoader, batch: Any, *arguments: Any) -> None:
        if self.augmentation is None:
            read.append(len(batch))
        original(self, batch, *arguments)

    monkeypatch.setattr(BatchLoader, "_fill", spy)
    runs = []
    for cache, once in (({"engine": engine}, True), ({"engine": engine, "max_size": 1000}, False)):
        read.clear()
        sections: dict[str, Any] = {"data": {"augment": "standard"}, "train": {"epochs": 4}, "cache": cache}
        runs.append(lines_of(Trainer.from_config(make(**sections)).fit().folder))
        said = capsys.readouterr().err
        assert sum(read) - 54 * (1 if once else 4) in (0, 1)  # Paddle Inference begins with one image
        assert (f"9 frozen stages are computed by {engine}; those of validation images once" in said) is once
        assert said.count("features of validation images: 54 computed once at layer4.1") == once
    for cached, computed_each_time in zip(*runs, strict=True):
        assert cached["train"] == computed_each_time["train"]
        assert cached["val"]["top1"] == computed_each_time["val"]["top1"]
        assert cached["val"]["loss"] == pytest.approx(computed_each_time["val"]["loss"], rel=1e-4)


def evaluated(job: Job, images: ImageSet) -> np.ndarray:
    return loader_outputs(job.network, FeatureSource(job).for_evaluation(images), job.config.train)[0]


@pytest.mark.parametrize(
    "sections",
    [
        {"transfer": {"preset": "linear_probe"}},
        {"transfer": {"preset": "custom", "phases": TWO_PHASES}, "data": {"augment": "none"}},
        {"transfer": {"preset": "custom", "freeze": "layer3.1"}, "data": {"augment": "standard"}},
    ],
    ids=["all frozen", "two phases", "augmented"],
)
def test_a_trained_network_is_evaluated_on_cached_features(
    make: Make, monkeypatch: pytest.MonkeyPatch, sections: dict[str, Any]
) -> None:
    trainer = Trainer.from_config(make(**sections, cache={"enabled": True, "dtype": "float32", "engine": "paddle"}))
    trainer.fit()
    job, read = trainer.job, []
    expected, _ = predict_outputs(job.network, job.loader(job.data.val, training=False))
    original = BatchLoader._fill
    monkeypatch.setattr(BatchLoader, "_fill", lambda self, *rest: (read.append(1), original(self, *rest)))
    np.testing.assert_allclose(evaluated(job, job.data.val), expected, atol=1e-4)
    assert not read
    first = next(iter(job.network.stage_parameters(0).values()))
    first.set_value(first * 0.5)  # as if the best epoch were before the last phase
    changed = evaluated(job, job.data.val)
    assert read
    again, _ = predict_outputs(job.network, job.loader(job.data.val, training=False))
    assert np.abs(changed - expected).max() > 1e-2
    np.testing.assert_allclose(changed, again, atol=1e-4)


@pytest.mark.parametrize("cache", [{"engine": "paddle"}, {"enabled": False}], ids=["engine", "off"])
def test_test_images_are_computed_once_by_the_phases_engine(
    make: Make, monkeypatch: pytest.MonkeyPatch, cache: dict[str, Any]
) -> None:
    engines: list[str] = []
    load = toolkit.engine.features.source.load_runner
    monkeypatch.setattr(
        toolkit.engine.features.source, "load_runner", lambda *args: (engines.append(args[2]), load(*args))[1]
    )
    trainer = Trainer.from_config(make(data={"test_fraction": 0.1}, cache=cache))
    result = trainer.fit()
    job = trainer.job
    assert job.data.test is not None
    assert result.test_outputs is not None
    assert engines == [cache.get("engine", "dygraph")]  # with the cache off, the phase alone requests it
    expected, labels = predict_outputs(job.network, job.loader(job.data.test, training=False))
    np.testing.assert_allclose(result.test_outputs, expected, atol=1e-4)
    assert result.test == pytest.approx(job.objective.metrics(expected, labels), rel=1e-4)


def test_validation_features_go_elsewhere_if_the_cache_cannot_be_written(
    make: Make, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = {"engine": "paddle", "dir": tmp_path / "file"}
    result = Trainer.from_config(make(data={"augment": "standard"}, train={"epochs": 4}, cache=cache)).fit()
    assert result.last["epoch"] == 4
    assert re.search(r"cannot be written .*: new features go to \S+ until the end", capsys.readouterr().err)
    with pytest.raises(ToolkitError, match="a file is in the way of a folder"):
        Trainer.from_config(make(cache={**cache, "enabled": True})).fit()


@pytest.mark.slow
def test_processes_compute_the_same_rows_in_order(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.features.extract._WORTH_PROCESSES", 0.0)
    monkeypatch.setattr("toolkit.engine.features.extract.workers", lambda: 2)
    job = build_job(make(data={"samples_per_class": None}))
    source = ImageRows(job.loader(job.data.train, training=False))
    rows = range(len(job.data.train))
    assert len(rows) > 300
    stage_slice = StageSlice(job.network, 0, 9)
    stage_slice.eval()
    found = np.concatenate(computed(stage_slice, source, rows, "paddle"))
    expected = np.concatenate(computed(stage_slice, source, rows, "dygraph"))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


class DiesSoon:
    """A source whose reader is killed, as by the kernel when memory runs out."""

    portable = True

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        if rows[0] >= 64:
            os.kill(os.getpid(), signal.SIGKILL)
        return np.zeros((len(rows), 3, 32, 32), np.float32)


@pytest.mark.slow
def test_a_killed_process_is_an_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.engine.features.extract._WORTH_PROCESSES", 0.0)
    monkeypatch.setattr("toolkit.engine.features.extract.workers", lambda: 2)
    stage_slice = StageSlice(build_job(make()).network, 0, 9)
    with pytest.raises(ToolkitError, match="a process that computes features died"):
        computed(stage_slice, DiesSoon(), range(320), "paddle")
