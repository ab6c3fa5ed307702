"""The package's public names are what they were."""

from __future__ import annotations

import toolkit.deploy


def test_public_names() -> None:
    assert toolkit.deploy.__all__ == [
        "Dashboard",
        "ImageClassifier",
        "Manifest",
        "NetworkPredictor",
        "Prediction",
        "Predictor",
        "check_export",
        "expand_images",
        "export_model",
        "predictions_csv",
        "predictions_json",
        "predictions_table",
        "serve",
    ]
    assert sorted(toolkit.deploy.__all__) == toolkit.deploy.__all__ == dir(toolkit.deploy)
    assert all(getattr(toolkit.deploy, name).__name__ == name for name in toolkit.deploy.__all__)
