"""The engine: jobs, training, evaluation and their records."""

from toolkit.engine.evaluate import evaluate, evaluate_job, predict_outputs
from toolkit.engine.features import FeatureCache, FeatureLoader, Request
from toolkit.engine.job import Job, build_job
from toolkit.engine.metrics import classification_metrics
from toolkit.engine.result import RunResult
from toolkit.engine.run_folder import RunFolder
from toolkit.engine.state import TrainingState
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
