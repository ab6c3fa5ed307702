"""The configuration: its schema, and reading it from YAML."""

from toolkit.config.callbacks import (
    CallbacksConfig,
    CheckpointConfig,
    CustomCallbackConfig,
    EarlyStoppingConfig,
    LogFileConfig,
    ModelCheckpointConfig,
    MonitorConfig,
    PlateauConfig,
)
from toolkit.config.data import DataConfig
from toolkit.config.load import dump_changes, dump_config, load_config, make_config, note_alias, with_overrides
from toolkit.config.model import HeadConfig, ModelConfig, SourceConfig
from toolkit.config.remote_monitor import RemoteMonitorConfig, WeightAveragingConfig, host_of
from toolkit.config.schedule import ScheduleConfig
from toolkit.config.schema import Config
from toolkit.config.train import CacheConfig, ExportConfig, LogConfig, TrainConfig
from toolkit.config.transfer import PRESET_ALIASES, PhaseConfig, Preset, TransferConfig, plan_of

__all__ = [
    "PRESET_ALIASES",
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
    "LogFileConfig",
    "ModelCheckpointConfig",
    "ModelConfig",
    "MonitorConfig",
    "PhaseConfig",
    "PlateauConfig",
    "Preset",
    "RemoteMonitorConfig",
    "ScheduleConfig",
    "SourceConfig",
    "TrainConfig",
    "TransferConfig",
    "WeightAveragingConfig",
    "dump_changes",
    "dump_config",
    "host_of",
    "load_config",
    "make_config",
    "note_alias",
    "plan_of",
    "with_overrides",
]
