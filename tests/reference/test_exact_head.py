"""The solved head beside scikit-learn's, whose C means another thing for two classes than for more."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from toolkit.engine.solvers import fit_linear_head
from toolkit.tasks import softmax


@pytest.mark.parametrize("regularisation", [0.5, 4.0])
@pytest.mark.parametrize(("classes", "factor"), [(2, 2.0), (3, 1.0), (5, 1.0)])
def test_the_regularisation_in_terms_of_scikit_learn(classes: int, factor: float, regularisation: float) -> None:
    rng = np.random.default_rng(classes)
    features = rng.normal(size=(120, 6)).astype(np.float32)
    labels = (features @ rng.normal(size=(6, classes)) + rng.normal(size=(120, classes))).argmax(axis=1)
    found = fit_linear_head(
        features, labels, features, labels, "classification", num_classes=classes, grid=(regularisation,)
    )
    exact = features.astype(np.float64)
    scaled = (exact - exact.mean(axis=0)) / np.sqrt(exact.var(axis=0).mean())

    def probabilities(c: float) -> np.ndarray:
        return LogisticRegression(C=c, tol=1e-10, max_iter=10_000).fit(scaled, labels).predict_proba(scaled)

    np.testing.assert_allclose(softmax(found.outputs(features)), probabilities(factor / regularisation), atol=5e-4)
    other = probabilities((3 - factor) / regularisation)
    assert np.abs(softmax(found.outputs(features)) - other).max() > 5e-3
