"""Options in different sections that contradict each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from toolkit.config.schema import Config


def contradictions(config: Config) -> list[str]:
    """Find options that do not suit the task, the solver, the starting weights, or each other.

    Args:
        config: The whole config, whose sections are valid on their own.

    Returns:
        One line for each contradiction.
    """
    return [*_of_task(config), *_of_solver(config), *_of_weights(config), *_of_mixing(config), *_of_options(config)]


def _of_task(config: Config) -> list[str]:
    train, data, task = config.train, config.data, config.task
    found = []
    if data.sampling == "balanced" and task != "classification":
        remedy = "; train.class_weights: balanced weights labels" if task == "multilabel" else ""
        found.append(f"data.sampling: balanced shows each class equally often, but {task} has no classes{remedy}")
    if task != "regression":
        return found
    for asked, key in ((train.loss, f"loss: {train.loss}"), (train.class_weights, "class_weights")):
        if asked is not None:
            found.append(f"train.{key} is for classes and labels, but regression has none")
    if train.cutmix:
        found.append(
            "train.cutmix mixes labels by area, which has no meaning for targets: use train.mixup for regression"
        )
    return found


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
