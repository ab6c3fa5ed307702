"""Metrics against scikit-learn and against hand-made cases."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss, top_k_accuracy_score

from toolkit.engine.metrics import classification_metrics, softmax


def test_agrees_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 9)).astype("float32"), rng.integers(0, 9, 200)
    found = classification_metrics(logits, labels)
    assert found["loss"] == pytest.approx(log_loss(labels, softmax(logits.astype("float64")), labels=range(9)))
    assert found["top1"] == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert found["top5"] == pytest.approx(top_k_accuracy_score(labels, logits, k=5, labels=range(9)))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))


def test_huge_logits_do_not_overflow_and_few_classes_have_a_top5() -> None:
    found = classification_metrics(np.array([[1e4, -1e4], [0.0, 1e4]], "float32"), np.array([0, 0]))
    assert found["loss"] == pytest.approx(5e3)
    assert (found["top1"], found["top5"]) == (0.5, 1.0)
