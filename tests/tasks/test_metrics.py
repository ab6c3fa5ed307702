"""Metrics against scikit-learn and against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
    top_k_accuracy_score,
)

from toolkit.tasks import (
    TASKS,
    classification_metrics,
    multilabel_metrics,
    regression_metrics,
    sigmoid,
    softmax,
)


def test_classification_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 9)).astype("float32"), rng.integers(0, 9, 200)
    found = classification_metrics(logits, labels)
    assert list(found) == [metric.name for metric in TASKS["classification"].metrics]
    assert found["loss"] == pytest.approx(log_loss(labels, softmax(logits.astype("float64")), labels=range(9)))
    assert found["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=range(9)))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))


def test_huge_logits_do_not_overflow_and_few_classes_have_a_top5() -> None:
    found = classification_metrics(np.array([[1e4, -1e4], [0.0, 1e4]], "float32"), np.array([0, 0]))
    assert found["loss"] == pytest.approx(5e3)
    assert (found["top1"], found["top5"]) == (0.5, 1.0)


def test_multilabel_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(150, 4)).astype("float32"), (rng.random((150, 4)) < 0.3).astype("float32")
    found = multilabel_metrics(logits, labels)
    assert list(found) == [metric.name for metric in TASKS["multilabel"].metrics]
    assert found["map"] == pytest.approx(average_precision_score(labels, logits, average="macro"))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, sigmoid(logits) > 0.5, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(labels, sigmoid(logits) > 0.5, average="micro"))
    assert found["loss"] == pytest.approx(
        np.mean([log_loss(labels[:, c], sigmoid(logits[:, c]), labels=[0, 1]) for c in range(4)])
    )


def test_labels_without_images_do_not_count_in_the_map() -> None:
    labels = np.array([[1, 0], [0, 0], [1, 0]], "float32")
    logits = np.array([[2.0, 1.0], [-1.0, -1.0], [1.0, -3.0]], "float32")
    assert multilabel_metrics(logits, labels)["map"] == 1.0
    assert multilabel_metrics(logits, np.zeros_like(labels))["map"] == 0.0
    assert np.isfinite(multilabel_metrics(logits * 1e4, labels)["loss"])


def test_regression_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    targets = rng.normal(5, 3, size=(80, 2))
    predicted = (targets + rng.normal(size=(80, 2))).astype("float32")
    found = regression_metrics(predicted, targets, np.array([3.0, 1.0]))
    assert list(found) == [metric.name for metric in TASKS["regression"].metrics]
    assert found["r2"] == pytest.approx(r2_score(targets, predicted))
    assert found["mae"] == pytest.approx(mean_absolute_error(targets, predicted))
    assert found["mse"] == pytest.approx(mean_squared_error(targets, predicted))
    assert found["loss"] == pytest.approx((((predicted - targets) / [3.0, 1.0]) ** 2).mean())


def test_r2_of_targets_that_do_not_vary_is_a_number() -> None:
    same = np.full((1, 2), 4.0)
    assert regression_metrics(np.array([[4.0, 5.0]]), same)["r2"] == 0.5
