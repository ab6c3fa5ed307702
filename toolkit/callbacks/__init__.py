"""Callbacks on Paddle's own protocol: what happens beside training."""

from toolkit.callbacks.base import MonitorCallback
from toolkit.callbacks.checkpoint import Checkpoint
from toolkit.callbacks.custom import load_custom
from toolkit.callbacks.early_stopping import EarlyStopping
from toolkit.callbacks.reduce_on_plateau import ReduceLROnPlateau
from toolkit.callbacks.terminate_on_nan import TerminateOnNaN
from toolkit.callbacks.visualdl_logger import VisualDLLogger

__all__ = [
    "Checkpoint",
    "EarlyStopping",
    "MonitorCallback",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
    "VisualDLLogger",
    "load_custom",
]
