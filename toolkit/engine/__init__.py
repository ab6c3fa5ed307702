"""The engine: jobs, training, evaluation and their records."""

from toolkit.engine.build import build_job
from toolkit.engine.evaluate import evaluate, evaluate_job, predict_outputs
from toolkit.engine.features.cache import FeatureCache, Request
from toolkit.engine.features.loaders import FeatureLoader
from toolkit.engine.job import Job
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.result import RunResult
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.source import prepare_job
from toolkit.engine.trainer import Trainer
from toolkit.tasks import classification_metrics

__all__ = [
    "FeatureCache",
    "FeatureLoader",
    "Job",
    "Request",
    "RunFolder",
    "RunResult",
    "Trainer",
    "TrainingState",
    "build_job",
    "classification_metrics",
    "evaluate",
    "evaluate_job",
    "predict_outputs",
    "prepare_job",
]
