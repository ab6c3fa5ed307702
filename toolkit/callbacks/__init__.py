"""Callbacks that follow Paddle's callback protocol."""

from toolkit.callbacks.base import MonitorCallback
from toolkit.callbacks.checkpoint import Checkpoint
from toolkit.callbacks.csv_logger import CSVLogger
from toolkit.callbacks.custom import load_custom, load_function
from toolkit.callbacks.early_stopping import EarlyStopping
from toolkit.callbacks.jsonl_logger import JSONLLogger
from toolkit.callbacks.lambda_callback import LambdaCallback
from toolkit.callbacks.model_checkpoint import ModelCheckpoint
from toolkit.callbacks.reduce_on_plateau import ReduceLROnPlateau
from toolkit.callbacks.remote_monitor import RemoteMonitor, read_token
from toolkit.callbacks.terminate_on_nan import TerminateOnNaN
from toolkit.callbacks.visualdl_graph import stage_graph
from toolkit.callbacks.visualdl_logger import VisualDLLogger
from toolkit.callbacks.weight_averaging import WeightAveraging, swapped_weights

__all__ = [
    "CSVLogger",
    "Checkpoint",
    "EarlyStopping",
    "JSONLLogger",
    "LambdaCallback",
    "ModelCheckpoint",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "RemoteMonitor",
    "TerminateOnNaN",
    "VisualDLLogger",
    "WeightAveraging",
    "load_custom",
    "load_function",
    "read_token",
    "stage_graph",
    "swapped_weights",
]
