"""A bundle made by hand: images of weight 0 are in no statistic, as in data read from disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from tests.jobs import digits_jobs
from toolkit.config import Config
from toolkit.core.errors import DataError
from toolkit.data import ArrayImages, DataBundle
from toolkit.data.sampling import make_sampler
from toolkit.engine import build_job
from toolkit.engine.learning.class_weights import class_weights
from toolkit.engine.standardise import feature_statistics
from toolkit.tasks import TaskName

WEIGHTS = np.array([1, 0, 2, 1, 0, 1], np.float32)
COUNTING = np.flatnonzero(WEIGHTS)


def images(labels: npt.ArrayLike, weights: npt.ArrayLike = WEIGHTS) -> ArrayImages:
    rng = np.random.default_rng(0)
    return ArrayImages(rng.integers(0, 255, (6, 8, 8, 3), np.uint8), labels, "made").with_weights(weights)


def bundle(labels: npt.ArrayLike, task: TaskName, names: tuple[str, ...]) -> tuple[DataBundle, DataBundle]:
    """The same bundle with and without images of weight 0."""
    given = images(labels)
    return tuple(DataBundle(train, given, None, names, task=task) for train in (given, given.take(COUNTING)))  # type: ignore[return-value]


def test_targets() -> None:
    made, expected = bundle([[1.0], [-99999.0], [3.0], [2.0], [7e6], [4.0]], "regression", ("x",))
    assert [each.tolist() for each in made.target_statistics()] == [
        each.tolist() for each in expected.target_statistics()
    ]
    assert made.target_statistics()[0] == 2.5
    assert made.describe_targets()["train"] == expected.describe_targets()["train"]
    assert len(made.train) == 4
    assert len(made.val) == 6  # weights are for training


@pytest.mark.parametrize("kind", ["balanced", "effective"])
def test_classes(kind: Any) -> None:
    made, expected = bundle([0, 0, 1, 1, 1, 0], "classification", ("a", "b"))
    assert made.counts() == expected.counts()
    assert made.counts()["train"] == {"a": 2, "b": 2}
    assert class_weights(kind, 0.9, made) == pytest.approx(class_weights(kind, 0.9, expected))
    assert made.fingerprint() == expected.fingerprint()
    assert make_sampler("natural", made.train) is None  # all of them
    samplings: tuple[Literal["balanced", "weighted"], ...] = ("balanced", "weighted")
    for sampling in samplings:
        orders = [make_sampler(sampling, each.train) for each in (made, expected)]
        assert np.array_equal(*(each.order(0, 1) for each in orders if each is not None))


def test_labels() -> None:
    rows = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [1, 1], [0, 1]], np.float32)
    made, expected = bundle(rows, "multilabel", ("a", "b"))
    assert made.counts()["train"] == expected.counts()["train"] == {"a": 1, "b": 2}


def test_features(tmp_path: Path) -> None:
    make: Callable[..., Config] = digits_jobs(
        tmp_path,
        model={"name": "resnet18", "pretrained": False},
        data={"classes": ["0", "1"], "samples_per_class": 4, "augment": "none"},
        transfer={"preset": "scratch"},
    )
    job = build_job(make())
    labels, found = [0, 0, 1, 1, 1, 0], []
    for data in bundle(labels, "classification", ("0", "1")):
        batches = replace(job, data=data).loader(data.train, training=True)
        found.append(feature_statistics(job.network, batches))
    assert found[0][0] == pytest.approx(found[1][0])
    assert found[0][1] == pytest.approx(found[1][1])


def test_nothing_counts() -> None:
    none = images([0, 1, 0, 1, 0, 1], np.zeros(6))
    with pytest.raises(DataError, match="all 6 training images have weight 0"):
        DataBundle(none, none, None, ("a", "b"))
