"""Options of different sections that do not go together."""

from __future__ import annotations

from typing import Protocol

from toolkit.config.data import DataConfig
from toolkit.config.model import ModelConfig
from toolkit.config.train import CacheConfig, TrainConfig
from toolkit.config.transfer import TransferConfig
from toolkit.tasks import TASKS, TaskName


class Sections(Protocol):
    """What is compared of a config."""

    task: TaskName
    model: ModelConfig
    data: DataConfig
    transfer: TransferConfig
    train: TrainConfig
    cache: CacheConfig


def contradictions(config: Sections) -> list[str]:
    """What a config asks for that does not fit its task, its solver, its start, or itself.

    Args:
        config: All of it; every section is valid by itself.

    Returns:
        A line each; empty when there are none.
    """
    return [*_of_task(config), *_of_solver(config), *_of_weights(config), *_of_mixing(config), *_of_options(config)]


def _of_task(config: Sections) -> list[str]:
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


def _of_solver(config: Sections) -> list[str]:
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
    return [f"train.solver: exact fits the plain loss of all images: leave {' and '.join(asked)} out"] if asked else []


def _of_weights(config: Sections) -> list[str]:
    train = config.train
    found = []
    if config.data.sampling == "balanced" and isinstance(train.class_weights, str):
        found.append(
            f"data.sampling: balanced makes up for small classes already: leave train.class_weights: "
            f"{train.class_weights} out"
        )
    if train.l2_sp and (config.transfer.preset == "scratch" or config.model.pretrained is False):
        why = "preset scratch" if config.transfer.preset == "scratch" else "model.pretrained: false"
        found.append(f"train.l2_sp pulls towards the pretrained weights, and {why} has none")
    return found


def _of_mixing(config: Sections) -> list[str]:
    names = config.train.mixing
    if not names or config.cache.views is None:
        return []
    return [f"train.{names[0]} mixes images anew in every step, so that no features can be kept: leave cache.views out"]


def _of_options(config: Sections) -> list[str]:
    train = config.train
    found = []
    if train.clip_norm is not None and train.clip_value is not None:
        found.append("train.clip_norm and train.clip_value both clip the gradients: use one of them")
    if train.focal_gamma is not None and train.loss != "focal":
        found.append("train.focal_gamma belongs to train.loss: focal")
    if train.sync_batch_norm and train.processes > 1:
        found.append(
            "train.sync_batch_norm is for several GPUs, and train.processes shares the CPU: leave one of them out"
        )
    if train.effective_beta is not None and train.class_weights != "effective":
        found.append("train.effective_beta belongs to train.class_weights: effective")
    return found
