"""Export a trained network, predict with it, and run the dashboard.

Names are imported on first use, so that the dashboard does not need Paddle.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toolkit.deploy.dashboard import Dashboard, serve
    from toolkit.deploy.examples import show_examples
    from toolkit.deploy.export import check_export, export_model
    from toolkit.deploy.image_predictor import ImagePredictor
    from toolkit.deploy.inputs import expand_images
    from toolkit.deploy.manifest import Manifest
    from toolkit.deploy.network_predictor import NetworkPredictor
    from toolkit.deploy.prediction import Prediction, predictions_csv, predictions_table
    from toolkit.deploy.predictor import Predictor
    from toolkit.deploy.run_export import export_job, export_run

__all__ = [
    "Dashboard",
    "ImagePredictor",
    "Manifest",
    "NetworkPredictor",
    "Prediction",
    "Predictor",
    "check_export",
    "expand_images",
    "export_job",
    "export_model",
    "export_run",
    "predictions_csv",
    "predictions_table",
    "serve",
    "show_examples",
]

_HOME = {
    "Dashboard": "dashboard",
    "ImagePredictor": "image_predictor",
    "Manifest": "manifest",
    "NetworkPredictor": "network_predictor",
    "Prediction": "prediction",
    "Predictor": "predictor",
    "check_export": "export",
    "expand_images": "inputs",
    "export_job": "run_export",
    "export_model": "export",
    "export_run": "run_export",
    "predictions_csv": "prediction",
    "predictions_table": "prediction",
    "serve": "dashboard",
    "show_examples": "examples",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'toolkit.deploy' has no attribute {name!r}")
    return getattr(import_module(f"toolkit.deploy.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
