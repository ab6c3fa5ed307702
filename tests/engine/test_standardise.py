"""Statistics of features, before a head is trained alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.config import Config
from toolkit.core.errors import TrainingError
from toolkit.engine import Job, build_job
from toolkit.engine import standardise as module
from toolkit.engine.features.loaders import EngineLoader, FeatureLoader
from toolkit.engine.features.source import FeatureSource, PhaseInputs
from toolkit.engine.standardise import feature_statistics, standardise
from toolkit.transfer import dense_lr

Make = Callable[..., Config]


def begun(config: Config) -> tuple[Job, PhaseInputs]:
    job = build_job(config)
    phase = job.plan.phases[0]
    job.network.freeze(phase.frozen)
    return job, FeatureSource(job).for_phase(phase)


def rows_of(job: Job, inputs: PhaseInputs) -> np.ndarray:
    """The head's inputs in the first epoch, in float64."""
    network, rows = job.network, []
    network.eval()
    inputs.training.set_epoch(0)
    with paddle.no_grad():
        for batch in inputs.training:
            z = network.features(paddle.to_tensor(batch.inputs), len(network.stage_names), inputs.start_stage)
            rows.append(network.pool(z).numpy().astype(np.float64))
    return np.concatenate(rows)


def statistics_of(job: Job) -> tuple[np.ndarray, float]:
    head = job.network.standardising_head
    return head.feature_mean.numpy(), head.feature_scale.item()


WISHES = pytest.mark.parametrize(
    ("kind", "sections"),
    [
        (FeatureLoader, {}),
        (FeatureLoader, {"data": {"augment": "standard"}, "cache": {"views": 2}}),
        (FeatureLoader, {"model": {"pooling": "gem"}}),
        (FeatureLoader, {"model": {"pooling": "none"}}),
        (EngineLoader, {"data": {"augment": "standard"}, "cache": {"engine": "paddle"}}),
        (object, {"cache": {"enabled": False}, "model": {"head": {"type": "mlp", "hidden": [8]}}}),
    ],
    ids=["kept", "views", "gem", "none", "engine", "images"],
)


@WISHES
def test_the_mean_squared_norm_becomes_the_number_of_features(make: Make, kind: type, sections: dict[str, Any]) -> None:
    job, inputs = begun(make(**sections))
    assert isinstance(inputs.training, kind)
    standardise(job, job.plan.phases[0], inputs.training)
    mean, scale = statistics_of(job)
    rows = rows_of(job, inputs)
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-3, atol=1e-4 * scale)
    standardised = (rows - mean) / scale
    assert (standardised**2).sum(axis=1).mean() == pytest.approx(job.network.feature_width, rel=1e-3)
    standardise(job, job.plan.phases[0], inputs.training)  # once more: the same
    assert statistics_of(job)[1] == scale


def test_only_a_sample_of_images_is_looked_at(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    job, inputs = begun(make(cache={"enabled": False}))
    whole = feature_statistics(job.network, inputs.training)[0]
    monkeypatch.setattr(module, "_SAMPLE", 6)
    mean, scale = feature_statistics(job.network, inputs.training)
    np.testing.assert_allclose(mean, rows_of(job, inputs)[:10].mean(axis=0), rtol=1e-5, atol=1e-6)  # two batches of 5
    assert (mean != whole).any()
    assert scale > 0


def test_several_processes_look_at_as_many_images_as_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts the images of all: if six are wanted and a step has ten, five of them its own, one step is enough."""
    job, inputs = begun(make(cache={"enabled": False}))
    monkeypatch.setattr(module, "_SAMPLE", 6)
    monkeypatch.setattr(module, "sums", lambda values: [2 * value for value in values])
    mean, _ = feature_statistics(job.network, inputs.training)
    np.testing.assert_allclose(mean, rows_of(job, inputs)[:5].mean(axis=0), rtol=1e-5, atol=1e-6)


def test_the_sample_is_the_same_with_and_without_a_cache(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SAMPLE", 6)
    found = []
    for cache in ({"engine": "dygraph"}, {"enabled": False}):
        job, inputs = begun(make(cache=cache))
        found.append(feature_statistics(job.network, inputs.training))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-5, atol=1e-6)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-5)


@pytest.mark.parametrize(
    "sections",
    [
        {"transfer": {"preset": "all_stages"}},
        {"train": {"solver": "exact"}},
        {"model": {"head": {"type": "cosine"}}},
    ],
    ids=["moving", "exact", "cosine"],
)
def test_phases_that_need_no_statistics_get_none(make: Make, sections: dict[str, Any]) -> None:
    job, inputs = begun(make(**sections))
    before = {key: value.numpy().copy() for key, value in job.network.state_dict().items()}
    standardise(job, job.plan.phases[0], inputs.training)
    for key, value in job.network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_a_trained_head_keeps_its_statistics(make: Make) -> None:
    job, inputs = begun(make())
    job.network.standardising_head.bias.set_value(np.full(3, 0.1, np.float32))
    standardise(job, job.plan.phases[0], inputs.training)
    assert statistics_of(job)[1] == 1


def test_constant_features_are_centred_only(make: Make) -> None:
    job, inputs = begun(make())
    features = np.full((len(job.data.train), 128), 0.1, np.float32)
    mean, scale = feature_statistics(
        job.network, FeatureLoader([features], inputs.training._loader, inputs.start_stage)
    )
    assert scale == 1
    np.testing.assert_allclose(mean, 0.1, rtol=1e-6)


def test_nan_features_are_an_error(make: Make) -> None:
    job, inputs = begun(make())
    loader, stages = inputs.training._loader, len(job.stages)
    kept = FeatureLoader([np.full((len(job.data.train), 128), np.inf, np.float32)], loader, stages)
    computed = EngineLoader(loader, lambda images: np.full((len(images), 128), np.nan, np.float32), stages)
    for batches in (kept, computed):
        with pytest.raises(TrainingError, match="NaN or infinite"):
            feature_statistics(job.network, batches)


def test_all_processes_count(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes with the same images: sums double, and the statistics stay."""
    job, inputs = begun(make(cache={"enabled": False}))
    alone = feature_statistics(job.network, inputs.training)
    monkeypatch.setattr(module, "sums", lambda values: [2 * value for value in values])
    both = feature_statistics(job.network, inputs.training)
    np.testing.assert_allclose(both[0], alone[0], rtol=1e-12)
    assert both[1] == pytest.approx(alone[1], rel=1e-9)


@pytest.mark.parametrize(
    ("sections", "lr"),
    [
        ({}, 5 / 128),
        ({"transfer": {"cut": "layer2.1"}}, 5 / 32),
        ({"train": {"optimizer": "sgd"}}, 50 / 128),
        ({"train": {"optimizer": "adamw"}}, 0.1 / 128**0.5),
        ({"train": {"lr": 0.5}}, 0.5),
        ({"model": {"pooling": "none"}}, 5 / 128),
        ({"model": {"head": {"type": "cosine"}}}, 0.01),
        ({"model": {"head": {"type": "mlp", "hidden": [8]}}}, 0.01),
        ({"transfer": {"preset": "all_stages"}}, 1e-3),
    ],
    ids=str,
)
def test_the_rate_goes_by_the_number_of_features(make: Make, sections: dict[str, Any], lr: float) -> None:
    assert build_job(make(**sections)).plan.phases[0].lr == pytest.approx(lr)


def test_later_phases_have_the_rates_of_features_as_they_are(make: Make) -> None:
    job = build_job(make(transfer={"preset": "all_stages", "head_first": 2}))
    assert [phase.lr for phase in job.plan.phases] == pytest.approx([dense_lr("adamw", "classification", 128, 3), 1e-3])
    phases = [{"freeze": "none", "epochs": 1}, {"freeze": "all", "epochs": 1}]
    job = build_job(make(transfer={"preset": "custom", "phases": phases}))
    assert [phase.lr for phase in job.plan.phases] == pytest.approx([1e-3, 3e-3])


def test_the_rate_compensates_for_a_loss_averaged_over_outputs() -> None:
    assert dense_lr("momentum", "multilabel", 100, 7) == pytest.approx(
        7 * dense_lr("momentum", "classification", 100, 7)
    )
    assert dense_lr("adamw", "multilabel", 100, 7) == dense_lr("adamw", "classification", 100, 7)
    assert dense_lr("momentum", "regression", 100, 4) == pytest.approx(4 * dense_lr("momentum", "regression", 100, 1))
