"""The schema of the configuration, with one documented line per field.

Every model is frozen and refuses unknown keys. ``None`` means "decide for me"; the decision is printed and recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from toolkit.config.callbacks import CallbacksConfig
from toolkit.config.contradictions import contradictions
from toolkit.config.data import DataConfig
from toolkit.config.model import ModelConfig
from toolkit.config.section import Section, spelled_as
from toolkit.config.train import CacheConfig, ExportConfig, LogConfig, TrainConfig
from toolkit.config.transfer import TransferConfig
from toolkit.tasks import TASKS, TaskName


class Config(Section):
    """One job: a network, data, a transfer plan, and how to train."""

    name: str = Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")
    """Name of the run, without slashes or a leading dot; its folder is `output_dir/name`."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order and augmentation."""
    task: TaskName = "classification"
    """`classification`: one class per image; `multilabel`: any number of labels; `regression`: numbers."""
    output_dir: Path = Path("runs")
    """Folder for runs."""
    model: Annotated[ModelConfig, BeforeValidator(spelled_as("name"))]
    """The network."""
    data: DataConfig = DataConfig()
    """The images."""
    transfer: Annotated[TransferConfig, BeforeValidator(spelled_as("preset"))] = TransferConfig()
    """What to transfer and what to train."""
    train: TrainConfig = TrainConfig()
    """How to train."""
    cache: CacheConfig = CacheConfig()
    """The feature cache."""
    callbacks: CallbacksConfig = CallbacksConfig()
    """Actions during training."""
    log: LogConfig = LogConfig()
    """What to record."""
    export: ExportConfig = ExportConfig()
    """The inference model and the report."""

    @model_validator(mode="after")
    def _monitors_belong_to_the_task(self) -> Config:
        task = TASKS[self.task]
        known = [f"val/{metric.name}" for metric in task.metrics]
        known += [f"train/{name}" for name in ("loss", *task.training)]
        if self.callbacks.weight_averaging is not None:
            known += [f"val/avg_{metric.name}" for metric in task.metrics]
        for monitor in self.callbacks.monitors():
            if monitor not in known:
                hint = "; averages need callbacks.weight_averaging" if "/avg_" in monitor else ""
                raise ValueError(f"{monitor} is not a metric of {self.task}; known: {', '.join(known)}{hint}")
        return self

    @model_validator(mode="after")
    def _smoothing_is_for_classes(self) -> Config:
        if self.train.label_smoothing and self.task != "classification":
            raise ValueError(f"train.label_smoothing is for classification, not for {self.task}")
        if self.model.head.type == "cosine" and self.task == "regression":
            raise ValueError("model.head cosine compares directions and cannot predict numbers: use linear or mlp")
        return self

    @model_validator(mode="after")
    def _nothing_contradicts(self) -> Config:
        found = contradictions(self)
        if found:
            raise ValueError("; ".join(found))
        return self
