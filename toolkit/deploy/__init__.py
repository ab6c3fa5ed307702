"""Deploy: exporting a trained network, predicting with it, and the dashboard."""

from toolkit.deploy.classifier import ImageClassifier
from toolkit.deploy.dashboard import Dashboard, serve
from toolkit.deploy.export import check_export, export_model
from toolkit.deploy.inputs import expand_images
from toolkit.deploy.manifest import Manifest
from toolkit.deploy.network_predictor import NetworkPredictor
from toolkit.deploy.prediction import Prediction, predictions_csv, predictions_json, predictions_table
from toolkit.deploy.predictor import Predictor

__all__ = [
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
