"""Jobs whose head reads several stages: the same numbers with and without the cache, by every engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from tests.engine.run_helpers import features_of, lines_of, weights_of
from tests.engine.runs.test_resume import finetune, killed
from tests.engine.test_tasks import labels_set, numbers_set  # noqa: F401 - fixtures
from toolkit.config import Config, load_config
from toolkit.core.errors import ConfigError
from toolkit.deploy import Predictor
from toolkit.deploy.run_export import export_run
from toolkit.engine import Trainer, build_job, evaluate_job
from toolkit.engine.features.cache import FeatureCache, Request
from toolkit.engine.features.extract import ImageRows, extract
from toolkit.engine.features.policy import decide
from toolkit.engine.features.runners import StageSlice, traced
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.runs.trained import load_trained
from toolkit.engine.solvers import fit_linear_head
from toolkit.engine.solvers.phase import settle_solver
from toolkit.engine.standardise import feature_statistics
from toolkit.inference import TracedProgram, convert_program, onnx_is_installed, relative_difference

Make = Callable[..., Config]
ENGINES = ["dygraph", "paddle", *(["onnx"] if onnx_is_installed() else [])]
STAGES, LOWEST = 9, 4
"""Of ResNet-18: all stages, and the index of the lowest one of the upper half."""


@pytest.fixture
def probe(make: Make) -> Callable[..., Config]:
    """Make the config of a job with the preset, which solves the head unless told otherwise."""
    usual = {"transfer": {"preset": "multi_stage_probe"}, "train": {"epochs": None}}
    return lambda **sections: make(**{**usual, **sections})


def images_of(job: Any, count: int = 12) -> np.ndarray:
    loader = job.loader(job.data.val, training=False)
    return np.concatenate([batch.inputs for batch in loader])[:count]


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_agree(probe: Make, engine: Any) -> None:
    job = build_job(probe())
    assert job.network.taps == tuple(range(LOWEST, STAGES))
    loader, images = job.loader(job.data.val, training=False), images_of(job)
    part = StageSlice(job.network, 0, STAGES)
    part.eval()
    with traced(part, (3, 32, 32), engine) as program:
        found = np.concatenate(list(extract(part, program, ImageRows(loader), range(len(images)))))
    with paddle.no_grad():
        expected = part(paddle.to_tensor(images)).numpy()
    assert found.shape == (12, job.network.feature_width)
    pieces = zip(part.pieces(found), part.pieces(expected), strict=True)
    assert max(relative_difference(*pair) for pair in pieces) < 1e-4
    assert [piece.shape[1] for piece in part.pieces(found)] == list(job.network.feature_pieces)


def test_the_cache_tells_stages_apart(make: Make) -> None:
    """Also if they have the same number of features."""
    for stages in ("last", "upper_half", "all", ["layer2.0", "layer4.1"], ["layer2.1", "layer4.1"]):
        job = build_job(make(model={"head": {"stages": stages}}))
        request = Request(job.loader(job.data.val, training=False), "images")
        cache = FeatureCache(job.network, job.config.cache)
        (features,) = cache.fill([request], [STAGES])[0]
        assert features.shape == (54, job.network.feature_width)
        assert features.dtype == np.float32
        expected = job.network.features(paddle.to_tensor(images_of(job)), STAGES).numpy()
        pooled = expected if job.network.taps else expected.mean((2, 3))
        np.testing.assert_allclose(features[np.arange(12)], pooled, rtol=1e-3, atol=1e-4)


def test_features_are_computed_from_a_boundary_below_the_lowest_stage(make: Make) -> None:
    job = build_job(make(model={"head": {"stages": "upper_half"}}))
    request = Request(job.loader(job.data.val, training=False), "images")
    config = job.config.cache.model_copy(update={"dtype": "float32"})
    (direct,) = FeatureCache(job.network, config).fill([request], [STAGES])[0]
    (stepwise,) = FeatureCache(job.network, config).fill([request], [3, LOWEST + 1, STAGES])[0]
    rows = np.arange(54)
    np.testing.assert_allclose(stepwise[rows], direct[rows], rtol=1e-4, atol=1e-5)


TUNED: dict[str, dict[str, Any]] = {
    "a head": {"transfer": {"preset": "linear_probe"}},
    "below": {"transfer": {"preset": "custom", "freeze": LOWEST - 1}},
    "at the lowest": {"transfer": {"preset": "custom", "freeze": LOWEST + 1}},
    "above it": {"transfer": {"preset": "custom", "freeze": LOWEST + 3}},
    "head first": {"transfer": {"preset": "custom", "head_first": 2, "freeze": STAGES - 1}},
    "all stages": {"transfer": {"preset": "custom", "freeze": 6}, "model": {"head": {"stages": "all"}}},
    "an MLP": {"transfer": {"preset": "linear_probe"}, "model": {"head": {"type": "mlp", "stages": "upper_half"}}},
}


@pytest.mark.parametrize("job", TUNED.values(), ids=TUNED.keys())
def test_cached_and_uncached_trainings_agree(make: Make, job: dict[str, Any]) -> None:
    """From any starting stage; at most the stages below the head's lowest one are cached."""
    values = {"model": {"head": {"stages": "upper_half"}}, "data": {"augment": "none"}, **job}
    values["train"] = {"epochs": 2, "solver": "sgd", "lr": 1e-3, "fast_convolutions": False}
    caches = ({"enabled": True, "engine": "dygraph", "dtype": "float32"}, {"enabled": False})
    cached, uncached = (lines_of(Trainer.from_config(make(cache=cache, **values)).fit().folder) for cache in caches)
    for split in ("train", "val"):
        for name in ("loss", "top1"):
            ours, theirs = ([line[split][name] for line in lines] for lines in (cached, uncached))
            assert ours == pytest.approx(theirs, rel=1e-5), (split, name)
    built = build_job(make(cache=caches[0], **values))
    (*_, last) = built.plan.phases
    lowest = built.network.taps[0] + 1
    boundary = STAGES if last.frozen == STAGES else min(last.frozen, lowest)
    assert decide(built, last).boundaries == (boundary,)
    if boundary < last.frozen:
        assert f"{boundary} of {last.frozen} frozen stages (the head reads" in decide(built, last).reason


def test_augmented_images_are_computed_by_an_engine_to_the_same_boundary(make: Make) -> None:
    values = {"model": {"head": {"stages": "upper_half"}}, "transfer": {"preset": "custom", "freeze": 7}}
    values |= {"data": {"augment": "standard"}, "train": {"epochs": 2, "lr": 1e-3}}
    caches = ({"enabled": "auto", "engine": "paddle"}, {"enabled": False})
    runs = [lines_of(Trainer.from_config(make(cache=cache, **values)).fit().folder) for cache in caches]
    for split in ("train", "val"):
        losses = [[line[split]["loss"] for line in run] for run in runs]
        assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    job = build_job(make(cache=caches[0], **values))
    job.network.set_frozen(7)
    assert FeatureSource(job).for_phase(job.plan.phases[0]).start_stage == LOWEST + 1


def test_stages_have_the_same_variance_when_a_head_is_trained(probe: Make) -> None:
    job = build_job(probe(train={"solver": "sgd"}))
    batches = FeatureSource(job).for_phase(job.plan.phases[0]).training
    mean, scale = feature_statistics(job.network, batches)
    rows = (features_of(job)[0] - mean) / scale
    pieces = np.split(rows, np.cumsum(job.network.feature_pieces)[:-1], axis=1)
    variances = [piece.var(axis=0).sum() for piece in pieces]
    assert variances == pytest.approx([job.network.feature_width / len(pieces)] * len(pieces), rel=1e-3)


def test_the_installed_head_takes_raw_features(probe: Make) -> None:
    """Its outputs are those of the solver on the cached features, and the network's on the images."""
    trainer = Trainer.from_config(probe())
    result = trainer.fit()
    assert result.folder.read_record()["solver"]["chosen_by"] == "cross-validation"
    job = trainer.job
    x, y, val_x, val_y = features_of(job)
    pieces = job.network.feature_pieces
    solution = fit_linear_head(x, y, val_x, val_y, "classification", num_classes=3, pieces=pieces)
    head = job.network.standardising_head
    np.testing.assert_allclose(head.weight.numpy(), solution.weight, rtol=1e-4, atol=1e-6)
    assert not head.feature_mean.numpy().any()
    assert (head.feature_scale.numpy() == 1).all()
    job.network.eval()
    with paddle.no_grad():
        found = job.network(paddle.to_tensor(images_of(job))).numpy()
    np.testing.assert_allclose(found, solution.outputs(val_x)[:12], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("task", "solver"),
    [
        ("classification", "auto"),
        ("multilabel", "auto"),
        ("regression", "auto"),
        ("classification", "sgd"),
        pytest.param("multilabel", "sgd", marks=pytest.mark.slow),
        pytest.param("regression", "sgd", marks=pytest.mark.slow),
    ],
)
def test_every_task_from_training_to_prediction(
    probe: Make, task: str, solver: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    fixture = {"multilabel": "labels_set", "regression": "numbers_set"}.get(task)
    sections = {"data": request.getfixturevalue(fixture)} if fixture else {}
    config = probe(task=task, train={"solver": solver, "epochs": 3 if solver == "sgd" else None}, **sections)
    trainer = Trainer.from_config(config)
    result = trainer.fit()
    assert ("solver" in result.folder.read_record()) == (solver == "auto")
    run = load_trained(result.folder)
    assert run.network.taps == tuple(range(LOWEST, STAGES))
    assert run.facts.head_stages == trainer.job.network.stage_names[LOWEST:]
    again = evaluate_job(build_job(config, weights=result.folder.best))
    evaluated = run.evaluate(trainer.job.data.val)
    for name, value in result.best.items():
        if name != "epoch":
            assert again[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
            assert evaluated[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    folder = export_run(run, tmp_path / "model")
    images = images_of(trainer.job)
    with paddle.no_grad():
        expected = run.network(paddle.to_tensor(images)).numpy()
    served = Predictor(folder, device="cpu").outputs(images)
    activated = {
        "classification": lambda z: np.exp(z) / np.exp(z).sum(axis=1, keepdims=True),
        "multilabel": lambda z: 1 / (1 + np.exp(-z)),
        "regression": lambda z: z,
    }[task](expected)
    scale = np.maximum(np.abs(activated).max(axis=0), 1.0)
    np.testing.assert_allclose(served / scale, activated / scale, atol=1e-4)
    if onnx_is_installed():
        files = (folder / "inference.json", folder / "inference.pdiparams", tmp_path / "model.onnx")
        converted = TracedProgram("onnx", (convert_program(*files),)).load(1)(images)
        np.testing.assert_allclose(converted / scale, activated / scale, atol=1e-4)


@pytest.mark.parametrize("transfer", [{"preset": "multi_stage_probe"}, {"preset": "custom", "freeze": LOWEST + 2}])
def test_a_killed_training_resumes_to_the_same_weights(make: Make, transfer: dict[str, Any]) -> None:
    sections = {"transfer": transfer, "model": {"head": {"stages": "upper_half"}}}
    whole = Trainer.from_config(finetune(make, name="whole", **sections)).fit()
    config = finetune(make, **sections)
    folder = killed(config, after=4)
    Trainer(build_job(load_config(folder.config))).fit(resume=folder.path)
    ours, theirs = weights_of(folder), weights_of(whole.folder)
    for key, value in theirs.items():
        np.testing.assert_array_equal(ours[key], value, err_msg=key)


def test_the_run_says_which_stages_its_head_reads(probe: Make, capsys: pytest.CaptureFixture[str]) -> None:
    result = Trainer.from_config(probe()).fit()
    said = " ".join(capsys.readouterr().err.split())
    assert "the head reads pooled features of 5 of 9 stages: layer2.1 to layer4.1" in said
    record = json.loads(result.folder.record.read_text(encoding="utf-8"))
    assert record["plan"]["head_stages"] == [4, 5, 6, 7, 8]
    assert record["model"]["head_stages"][0] == "layer2.1"
    assert result.folder.read_record()["plan"]["preset"] == "multi_stage_probe"


def test_the_config_overrides_the_preset(probe: Make, make: Make) -> None:
    assert build_job(probe(model={"head": {"stages": "last"}})).network.taps == ()
    assert build_job(probe(model={"head": {"stages": "all"}})).network.taps == tuple(range(STAGES))
    assert build_job(probe(transfer={"preset": "multi_stage_probe", "cut": "layer2"})).network.taps == (2, 3, 4)
    assert build_job(make()).network.taps == ()
    for stages, words in {
        ("layer2",): r"does not read the last stage, layer4.1.*stages above layer2.1",
        ("layer9",): r"model.head.stages: unknown stage 'layer9'",
    }.items():
        with pytest.raises(ConfigError, match=words):
            build_job(probe(model={"head": {"stages": list(stages)}}))


def test_a_manual_head_is_trained_on_them(probe: Make) -> None:
    job = build_job(probe(train={"epochs": 2, "lr": 0.01}))
    job.network.fc = paddle.nn.Sequential(paddle.nn.Linear(job.network.feature_width, 3))
    result = Trainer(job).fit()
    assert result.folder.read_record()["by_hand"]
    assert settle_solver(build_job(probe())).plan.phases[0].solver == "exact"
