from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from toolkit.core.errors import DataError
from toolkit.data import ArrayImages
from toolkit.data.stratify import limit_per_label, quantile_bins, split_by_labels, split_by_targets


def images(labels: Any) -> ArrayImages:
    rows = np.asarray(labels, np.float32)
    return ArrayImages(np.zeros((len(rows), 2, 2), np.uint8), rows, "x")


def paths(part: Any) -> set[str]:
    return {part.path(i) for i in range(len(part))}


def random_labels(count: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).random((count, 6)) < [0.5, 0.3, 0.1, 0.05, 0.02, 0.4]


@pytest.mark.parametrize("seed", range(3))
def test_every_part_has_its_share_of_every_label(seed: int) -> None:
    whole = images(random_labels(500))
    parts = split_by_labels({"train": whole}, (), 0.2, 0.1, seed)
    assert list(parts) == ["train", "val", "test"]
    total = whole.labels.sum(axis=0)
    for part, share in {"train": 0.7, "val": 0.2, "test": 0.1}.items():
        assert abs(len(parts[part]) - share * 500) <= 5
        assert np.abs(parts[part].labels.sum(axis=0) - share * total).max() <= 2
    sets = [paths(part) for part in parts.values()]
    assert len(set.union(*sets)) == sum(map(len, sets)) == 500


def test_it_is_better_than_chance() -> None:
    labels = random_labels(200, seed=1)
    rng = np.random.default_rng(0)

    def error(chosen: Any) -> float:
        return float(np.abs(labels[chosen].sum(axis=0) - 0.2 * labels.sum(axis=0)).sum())

    def drawn(seed: int) -> list[int]:
        val = split_by_labels({"train": images(labels)}, (), 0.2, 0, seed)["val"]
        return [int(name.split("/")[1]) for name in paths(val)]

    ours = np.mean([error(drawn(seed)) for seed in range(5)])
    chance = np.mean([error(rng.permutation(200)[:40]) for _ in range(20)])
    assert ours < chance / 2


def test_the_split_depends_on_the_seed_only() -> None:
    def val(seed: int) -> frozenset[str]:
        return frozenset(paths(split_by_labels({"train": images(random_labels(80))}, (), 0.2, 0, seed)["val"]))

    assert val(0) == val(0)
    assert len({val(seed) for seed in range(4)}) == 4


def test_own_parts_stay_as_they_are() -> None:
    own = {"train": images([[1], [2]]), "val": images([[3]])}
    assert split_by_targets(own, (), 0.2, 0, 0) == own
    assert split_by_labels(own, (), 0.2, 0, 0) == own


def test_a_single_positive_stays_in_training() -> None:
    for seed in range(5):
        labels = np.zeros((20, 2))
        labels[:10, 0], labels[4, 1] = 1, 1
        parts = split_by_labels({"train": images(labels)}, (), 0.2, 0, seed)
        assert parts["train"].labels[:, 1].sum() == 1
        assert parts["val"].labels[:, 0].sum() == 2


def test_numbers_are_spread_over_all_parts() -> None:
    values = np.sort(np.random.default_rng(0).lognormal(size=(200, 1)), axis=0)
    parts = split_by_targets({"train": images(values)}, (), 0.2, 0.2, seed=0)
    assert {part: len(chosen) for part, chosen in parts.items()} == {"train": 120, "val": 40, "test": 40}
    for part in parts.values():
        tenths = [int(name.split("/")[1]) // 20 for name in paths(part)]
        share = np.bincount(tenths, minlength=10) / len(tenths)
        assert np.abs(share - 0.1).max() <= 0.026


def test_several_targets_are_spread_together() -> None:
    values = np.random.default_rng(0).normal(size=(300, 2)) * [1, 1000]
    parts = split_by_targets({"train": images(values)}, (), 0.2, 0, seed=0)
    assert abs(len(parts["val"]) - 60) <= 3
    for column in range(2):
        edges = np.quantile(values[:, column], [0.25, 0.5, 0.75])
        quarters = np.bincount(np.searchsorted(edges, parts["val"].labels[:, column]), minlength=4)
        assert np.abs(quarters / len(parts["val"]) - 0.25).max() < 0.06


@pytest.mark.parametrize("count", [2, 3, 5, 9])
def test_few_numbers_can_be_split(count: int) -> None:
    parts = split_by_targets({"train": images(np.arange(count)[:, None])}, (), 0.2, 0, seed=0)
    assert (len(parts["train"]), len(parts["val"])) == (count - max(1, round(count / 5)), max(1, round(count / 5)))


def test_too_few_to_split() -> None:
    with pytest.raises(DataError, match=r"2 images, .* too few to split into 3 splits \(train, val, test\)"):
        split_by_targets({"train": images([[1], [2]])}, (), 0.2, 0.2, seed=0)
    with pytest.raises(DataError, match="those of each label, are too few"):
        split_by_labels({"train": images(np.eye(4))}, (), 0.2, 0, seed=0)


def test_bins_are_of_equal_size_and_never_split_equal_values() -> None:
    bins = quantile_bins(np.arange(100.0), 4)
    assert bins.sum(axis=0).tolist() == [25, 25, 25, 25]
    assert (bins.sum(axis=1) == 1).all()
    equal = quantile_bins(np.array([0.0] * 90 + [1.0, 2.0] * 5), 10)
    assert (equal.sum(axis=1) == 1).all()
    assert equal[:90].sum(axis=0).max() == 90
    assert quantile_bins(np.zeros(5), 3).shape == (5, 1)


def test_limit_applies_to_each_label() -> None:
    labels = np.zeros((60, 3))
    labels[:20, 0], labels[20:40, 1], labels[38:42, 2] = 1, 1, 1
    kept = limit_per_label(images(labels), (), 5, seed=0)
    counts = kept.labels.sum(axis=0)
    assert counts[0] == 5
    assert counts[1] >= 5
    assert counts[2] == 4
    assert (~kept.labels.any(axis=1)).sum() == 5
    assert paths(kept) == paths(limit_per_label(images(labels), (), 5, seed=0))
    assert paths(kept) != paths(limit_per_label(images(labels), (), 5, seed=1))


def test_limit_of_exclusive_labels_is_that_of_classes() -> None:
    kept = limit_per_label(images(np.eye(4)[np.arange(80) % 4]), (), 6, seed=0)
    assert kept.labels.sum(axis=0).tolist() == [6, 6, 6, 6]
