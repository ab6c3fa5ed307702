"""Optimizers of a plan, and their state under names that are stable across processes.

Paddle keys optimizer state by generated names (``linear_2.w_0_velocity_0``) that depend on what the process built
before; here it is keyed by the parameter's path in the network, so that it fits the same network anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn
from paddle.optimizer import Optimizer

from toolkit.config import TrainConfig
from toolkit.core.errors import TrainingError

_COUNTER = re.compile(r"_\d+$")


def make_optimizer(name: str, train: TrainConfig, network: nn.Layer, lr: float) -> Optimizer:
    """Create an optimizer over the trainable parameters of ``network``.

    Args:
        name: ``sgd``, ``momentum``, ``adam`` or ``adamw``.
        train: The training settings.
        network: Frozen parameters have ``stop_gradient``; multipliers are in ``optimize_attr``.
        lr: Learning rate of the head.

    Returns:
        The optimizer, with a float learning rate.
    """
    parameters = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
    shared: dict[str, Any] = {
        "learning_rate": lr,
        "parameters": parameters,
        "grad_clip": _clip(train),
    }
    decay = train.weight_decay
    if name == "momentum":
        return paddle.optimizer.Momentum(momentum=train.momentum, weight_decay=decay, **shared)
    if name == "sgd":
        return paddle.optimizer.SGD(weight_decay=decay, **shared)
    if name == "adam":
        return paddle.optimizer.Adam(weight_decay=decay, **shared)
    own = {parameter.name for parameter in parameters if train.l2_sp and parameter.regularizer is not None}
    return paddle.optimizer.AdamW(
        weight_decay=decay, apply_decay_param_fun=(lambda name: name not in own) if own else None, **shared
    )


def _clip(train: TrainConfig) -> Any:
    if train.clip_norm is not None:
        return nn.ClipGradByGlobalNorm(train.clip_norm)
    return None if train.clip_value is None else nn.ClipGradByValue(train.clip_value)


def optimizer_state(optimizer: Optimizer, network: nn.Layer) -> dict[str, NDArray[Any]]:
    """The optimizer's arrays, keyed ``<parameter path>|<accumulator>``, without Paddle's counter of earlier ones."""
    path_of = {parameter.name: path for path, parameter in network.named_parameters()}
    longest_first = sorted(path_of, key=len, reverse=True)
    state: dict[str, NDArray[Any]] = {}
    for key, value in optimizer.state_dict().items():
        name = next((name for name in longest_first if key.startswith(f"{name}_")), None)
        if name is not None:
            state[f"{path_of[name]}|{_COUNTER.sub('', key[len(name) + 1 :])}"] = np.asarray(value)
    return state


def restore_optimizer(optimizer: Optimizer, network: nn.Layer, state: Mapping[str, NDArray[Any]]) -> None:
    """Restore the result of ``optimizer_state`` into an optimizer that has not made a step yet.

    Raises:
        TrainingError: The state belongs to another network.
    """
    name_of = {path: parameter.name for path, parameter in network.named_parameters()}
    named: dict[str, Any] = {}
    for key, value in state.items():
        path, _, accumulator = key.rpartition("|")
        if path not in name_of:
            raise TrainingError(
                f"the checkpoint's optimizer state has {path}, which this network doesn't have",
                hint="resume with the config of the interrupted run",
            )
        named[_next_name(f"{name_of[path]}_{_COUNTER.sub('', accumulator)}")] = paddle.to_tensor(value)
    optimizer.set_state_dict(named)


def _next_name(name: str) -> str:
    """Paddle's next name for an accumulator: it counts those of earlier optimizers for the same parameter."""
    return f"{name}_{paddle.base.unique_name.generator.ids.get(name, 0)}"
