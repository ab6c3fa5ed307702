"""The schema of the configuration, with one documented line per field.

Every model is frozen and refuses unknown keys. ``None`` means "decide for me"; the decision is printed and recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from toolkit.config.callbacks import CallbacksConfig
from toolkit.config.data import DataConfig
from toolkit.config.model import ModelConfig
from toolkit.config.section import Section, spelled_as
from toolkit.config.train import CacheConfig, ExportConfig, LogConfig, TrainConfig
from toolkit.config.transfer import TransferConfig
from toolkit.tasks import TASKS, TaskName, monitors_of


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
        known = monitors_of([TASKS[self.task]], averages=self.callbacks.weight_averaging is not None)
        for monitor in self.callbacks.monitors():
            if monitor not in known:
                hint = "; averages need callbacks.weight_averaging" if "/avg_" in monitor else ""
                raise ValueError(f"{monitor} is not a metric of {self.task}; known: {', '.join(known)}{hint}")
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
        found = _contradictions(self)
        if found:
            raise ValueError("; ".join(found))
        return self


def _contradictions(config: Config) -> list[str]:
    """Options of different sections that do not go together, a line each; every section is valid by itself."""
    return [*_of_task(config), *_of_solver(config), *_of_weights(config), *_of_mixing(config), *_of_options(config)]


def _of_task(config: Config) -> list[str]:
    train, unsuited = config.train, TASKS[config.task].unsuited
    asked = {
        "data.sampling: balanced": (config.data.sampling == "balanced", ""),
        "train.loss": (train.loss is not None, f": {train.loss}"),
        "train.class_weights": (train.class_weights is not None, ""),
        "train.cutmix": (train.cutmix > 0, ""),
    }
    return [
        f"{option}{value} {unsuited[option]}"
        for option, (is_asked, value) in asked.items()
        if is_asked and option in unsuited
    ]


def _of_solver(config: Config) -> list[str]:
    train, data = config.train, config.data
    if train.solver != "exact":
        return []
    ignored = {
        "train.loss: focal": train.loss == "focal",
        "train.class_weights": train.class_weights is not None,
        "data.weight_column": data.weight_column is not None,
        f"data.sampling: {data.sampling}": data.sampling != "natural",
        **{f"train.{name}": True for name in train.mixing},
    }
    asked = [key for key, is_asked in ignored.items() if is_asked]
    return (
        [f"train.solver: exact fits the plain loss over all images: leave out {' and '.join(asked)}"] if asked else []
    )


def _of_weights(config: Config) -> list[str]:
    train = config.train
    found = []
    if config.data.sampling == "balanced" and isinstance(train.class_weights, str):
        found.append(
            f"data.sampling: balanced already compensates for small classes: leave out train.class_weights: "
            f"{train.class_weights}"
        )
    if train.l2_sp and (config.transfer.preset == "scratch" or config.model.pretrained is False):
        why = "preset scratch" if config.transfer.preset == "scratch" else "model.pretrained: false"
        found.append(f"train.l2_sp pulls towards the pretrained weights, but {why} has none")
    return found


def _of_mixing(config: Config) -> list[str]:
    names = config.train.mixing
    if not names or config.cache.views is None:
        return []
    return [f"train.{names[0]} mixes different images in every step, so features cannot be kept: leave out cache.views"]


def _of_options(config: Config) -> list[str]:
    train = config.train
    found = []
    if train.clip_norm is not None and train.clip_value is not None:
        found.append("train.clip_norm and train.clip_value both clip the gradients: use only one of them")
    if train.focal_gamma is not None and train.loss != "focal":
        found.append("train.focal_gamma belongs to train.loss: focal")
    if train.sync_batch_norm and train.processes > 1:
        found.append(
            "train.sync_batch_norm is for several GPUs, but train.processes shares the CPU: leave out one of them"
        )
    if train.effective_beta is not None and train.class_weights != "effective":
        found.append("train.effective_beta belongs to train.class_weights: effective")
    return found
