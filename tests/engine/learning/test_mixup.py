"""Mixup and cutmix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from toolkit.config import Config
from toolkit.data import ArrayImages, Batch, BatchLoader, Preprocessing
from toolkit.engine import Trainer, build_job
from toolkit.engine.features.policy import decide
from toolkit.engine.features.source import FeatureSource
from toolkit.engine.learning.mixup import Mixing, MixingLoader, blend, cut_and_paste
from toolkit.engine.learning.objective import make_objective

Make = Callable[..., Config]
PREPROCESSING = Preprocessing(16, 1.0)


def batch_of(count: int, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((count, 3, 16, 16)).astype(np.float32)
    return Batch(inputs, rng.integers(0, 4, count), np.arange(count))


@pytest.fixture
def images() -> ArrayImages:
    pixels = np.random.default_rng(1).integers(0, 256, (37, 16, 16, 3), dtype=np.uint8)
    return ArrayImages(pixels, np.arange(37) % 4, "noise")


def test_a_share_of_one_is_the_identity() -> None:
    inputs, other = batch_of(9).inputs, np.random.default_rng(0).permutation(9)
    assert np.array_equal(blend(inputs, other, 1.0), inputs)
    mixed, share = cut_and_paste(inputs, other, 1.0, np.random.default_rng(0))
    assert np.array_equal(mixed, inputs)
    assert share == 1.0


def test_mixup_mixes_images_and_labels_by_one_share() -> None:
    batch = batch_of(8)
    mixed = Mixing(1.0, 0.0, 4, seed=3)(batch, 2, 5)
    assert (mixed.inputs.dtype, mixed.labels.dtype) == (np.float32, np.float32)
    assert mixed.labels.sum(axis=1) == pytest.approx(np.ones(8))
    assert np.array_equal(mixed.indices, batch.indices)
    assert mixed.weights is None
    hot = np.eye(4)[batch.labels]
    found = set()
    for row in range(8):
        difference = (batch.inputs - batch.inputs[row]).reshape(8, -1)
        target = (mixed.inputs[row] - batch.inputs[row]).ravel()
        shares = [float(target @ d / (d @ d)) if d.any() else 0.0 for d in difference]
        errors = [np.abs(target - share * d).max() for share, d in zip(shares, difference, strict=True)]
        other = int(np.argmin(errors))
        assert errors[other] < 1e-5
        assert mixed.labels[row] == pytest.approx((1 - shares[other]) * hot[row] + shares[other] * hot[other], abs=1e-5)
        found |= {round(1 - shares[other], 4)} if other != row else set()
    assert len(found) == 1


def test_cutmix_pastes_one_box_and_counts_its_area() -> None:
    batch = batch_of(8)
    for number in range(20):
        mixed = Mixing(0.0, 1.0, 4, seed=3)(batch, 0, number)
        changed = (mixed.inputs != batch.inputs).any(axis=1)
        for row in np.flatnonzero(changed.any(axis=(1, 2))):
            rows, columns = np.flatnonzero(changed[row].any(axis=1)), np.flatnonzero(changed[row].any(axis=0))
            assert changed[row][rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            area = changed[row].sum() / 256
            others = [label for label in range(4) if label != batch.labels[row] and mixed.labels[row, label]]
            assert mixed.labels[row, batch.labels[row]] >= 1 - area - 1e-6
            assert mixed.labels[row, others] == pytest.approx([area] * len(others), abs=1e-6)


def test_both_alternate_at_random() -> None:
    batch, mixing = batch_of(16), Mixing(1.0, 1.0, 4)
    cut = 0
    for number in range(200):
        same = (mixing(batch, 0, number).inputs == batch.inputs).mean(axis=(1, 2, 3))
        cut += int(((same > 0) & (same < 1)).sum() > 6)  # one that is mixed with itself may be rounded
    assert 70 < cut < 130


def test_mixed_batches_are_the_same_for_any_number_of_workers_and_after_a_start(images: ArrayImages) -> None:
    def batches(workers: int, start: int = 0) -> list[Batch]:
        loader = BatchLoader(images, PREPROCESSING, batch_size=8, shuffle=True, workers=workers, seed=4)
        mixing = MixingLoader(loader, Mixing(0.4, 1.0, 4, seed=4))
        mixing.set_epoch(3, start)
        assert len(mixing) == 5
        assert mixing.images is images
        return list(mixing)

    alone = batches(0)
    assert [len(batch) for batch in alone] == [8, 8, 8, 8, 5]
    for others, first in ((batches(3), 0), (batches(1, start=2), 2)):
        for one, two in zip(alone[first:], others, strict=True):
            assert np.array_equal(one.inputs, two.inputs)
            assert np.array_equal(one.labels, two.labels)
            assert np.array_equal(one.indices, two.indices)


def test_rows_of_labels_and_targets_mix_too() -> None:
    batch = batch_of(5)
    rows = np.random.default_rng(2).random((5, 3)).astype(np.float32)
    mixed = Mixing(1.0, 0.0, None)(Batch(batch.inputs, rows, batch.indices), 0, 0)
    assert mixed.labels.shape == (5, 3)
    assert mixed.labels.mean(axis=0) == pytest.approx(rows.mean(axis=0), rel=1e-5)
    assert not np.array_equal(mixed.labels, rows)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_weighted_images_mix_their_losses(task: Any) -> None:
    """The loss with mixed labels and weights is share * loss of one + (1 - share) * loss of the other."""
    import paddle

    rng, batch = np.random.default_rng(0), batch_of(8)
    labels = batch.labels if task == "classification" else (rng.random((8, 4)) < 0.5).astype(np.float32)
    weights = np.array([0, 1, 2, 0, 3, 1, 0.5, 0], np.float32)
    objective = make_objective(task, image_weights=weights)
    classes = 4 if task == "classification" else None
    mixing = Mixing(1.0, 0.0, classes, seed=1)
    mixed = mixing(Batch(batch.inputs, labels, batch.indices), 0, 0, objective.weights)
    plain = Mixing(1.0, 0.0, 8, seed=1)(Batch(batch.inputs, np.arange(8), batch.indices), 0, 0).labels
    logits = paddle.to_tensor(rng.standard_normal((8, 4)).astype(np.float32))
    expected = 0.0
    for other in range(8):
        given = paddle.to_tensor(np.repeat(labels[other : other + 1], 8, axis=0))
        expected += weights[other] * (plain[:, other] * objective.sample_losses(logits, given).numpy()).sum()
    assert mixed.weights is not None
    assert mixed.weights == pytest.approx(plain @ weights, abs=1e-6)
    assert objective.batch_weights(mixed) is mixed.weights
    found = objective(logits, paddle.to_tensor(mixed.labels), paddle.to_tensor(mixed.weights))
    assert float(found.item()) == pytest.approx(expected, rel=1e-4)


def test_mixed_images_are_not_cached(make: Make) -> None:
    job = build_job(make(train={"mixup": 0.2, "cutmix": 1.0}))
    job.network.freeze(job.plan.phases[0].frozen)
    decision = decide(job, job.plan.phases[0])
    assert not decision.cached
    assert "mixup and cutmix make new images" in decision.reason
    assert "cache.views" not in decision.reason
    inputs = FeatureSource(job).for_phase(job.plan.phases[0])
    inputs.training.set_epoch(0)
    batches = list(inputs.training)
    assert all(batch.labels.shape == (len(batch), 3) for batch in batches)
    assert any(((batch.labels > 0).sum(axis=1) > 1).any() for batch in batches)
    assert all(batch.labels.ndim == 1 for batch in inputs.validation)


@pytest.mark.parametrize("train", [{"mixup": 0.2}, {"mixup": 0.2, "cutmix": 1.0, "class_weights": "balanced"}])
def test_a_mixed_run_is_repeatable(make: Make, train: dict[str, Any]) -> None:
    results = [
        Trainer.from_config(make(train={**train, "epochs": 1}, data={"workers": workers})).fit() for workers in (0, 2)
    ]
    assert results[0].last == results[1].last
