"""Configuration: what a YAML may say, and reading it."""

from toolkit.config.callbacks import (
    CallbacksConfig,
    CheckpointConfig,
    CustomCallbackConfig,
    EarlyStoppingConfig,
    MonitorConfig,
    PlateauConfig,
)
from toolkit.config.data import DataConfig
from toolkit.config.load import dump_config, load_config, make_config, with_overrides
from toolkit.config.model import HeadConfig, ModelConfig, SourceConfig
from toolkit.config.schema import Config
from toolkit.config.train import CacheConfig, ExportConfig, LogConfig, TrainConfig
from toolkit.config.transfer import PhaseConfig, Preset, TransferConfig

__all__ = [
    "CacheConfig",
    "CallbacksConfig",
    "CheckpointConfig",
    "Config",
    "CustomCallbackConfig",
    "DataConfig",
    "EarlyStoppingConfig",
    "ExportConfig",
    "HeadConfig",
    "LogConfig",
    "ModelConfig",
    "MonitorConfig",
    "PhaseConfig",
    "PlateauConfig",
    "Preset",
    "SourceConfig",
    "TrainConfig",
    "TransferConfig",
    "dump_config",
    "load_config",
    "make_config",
    "with_overrides",
]
