"""The configuration: what a YAML may say, one documented line a field.

Every model is frozen and refuses unknown keys. ``None`` means "decide for me"; what was decided is printed and
recorded.
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
from toolkit.tasks import TASKS, TaskName, monitors_of


class Config(Section):
    """One job: a network, data, a plan, and how to train it."""

    name: str = Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")
    """Name of the run, without slashes and a leading dot; its folder is `output_dir/name`."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order and augmentation."""
    task: TaskName = "classification"
    """`classification`: one class an image; `multilabel`: any number of labels; `regression`: numbers."""
    output_dir: Path = Path("runs")
    """Where runs are kept."""
    model: Annotated[ModelConfig, BeforeValidator(spelled_as("name"))]
    """The network."""
    data: DataConfig = DataConfig()
    """The images."""
    transfer: Annotated[TransferConfig, BeforeValidator(spelled_as("preset"))] = TransferConfig()
    """What moves."""
    train: TrainConfig = TrainConfig()
    """How training goes."""
    cache: CacheConfig = CacheConfig()
    """The feature cache."""
    callbacks: CallbacksConfig = CallbacksConfig()
    """What happens beside training."""
    log: LogConfig = LogConfig()
    """What is recorded."""
    export: ExportConfig = ExportConfig()
    """The inference model, and the report."""

    @model_validator(mode="after")
    def _monitors_belong_to_the_task(self) -> Config:
        known = monitors_of([TASKS[self.task]], averages=self.callbacks.weight_averaging is not None)
        for monitor in self.callbacks.monitors():
            if monitor not in known:
                cure = "; averages are measured with callbacks.weight_averaging" if "/avg_" in monitor else ""
                raise ValueError(f"{monitor} is no metric of {self.task}; known: {', '.join(known)}{cure}")
        return self

    @model_validator(mode="after")
    def _options_suit_the_task(self) -> Config:
        for option, is_asked in (
            ("train.label_smoothing", self.train.label_smoothing > 0),
            ("model.head cosine", self.model.head.type == "cosine"),
        ):
            if is_asked and option in TASKS[self.task].unsuited:
                raise ValueError(f"{option} {TASKS[self.task].unsuited[option]}")
        return self

    @model_validator(mode="after")
    def _nothing_contradicts(self) -> Config:
        found = contradictions(self)
        if found:
            raise ValueError("; ".join(found))
        return self
