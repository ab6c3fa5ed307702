"""The engine: jobs, training, evaluation and their records."""

from toolkit.engine.evaluate import evaluate, evaluate_job, predict_outputs
from toolkit.engine.features.cache import FeatureCache, FeatureLoader, Request
from toolkit.engine.job import Job, build_job
from toolkit.engine.learning.metrics import classification_metrics
from toolkit.engine.runs.folder import RunFolder
from toolkit.engine.runs.result import RunResult
from toolkit.engine.runs.state import TrainingState
from toolkit.engine.trainer import Trainer

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
]
