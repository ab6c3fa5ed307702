"""Whether convolutions are computed by the kernels of the ``fast`` extra, and which."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import paddle
from paddle import nn

from toolkit.config import TrainConfig
from toolkit.core.console import info, warn
from toolkit.core.errors import ConfigError
from toolkit.kernels import is_installed, kernels_problem, suitable_layers
from toolkit.zoo import StagedNetwork

_FEW = 4
"""Layers below which loading the kernels takes longer than they save."""


def check_convolutions(train: TrainConfig) -> None:
    """Refuse to train where the kernels are asked for and cannot be used.

    Raises:
        ConfigError: numba is not installed or does not work, or the device is no CPU.
    """
    if train.fast_convolutions is not True:
        return
    device = paddle.get_device()
    if device != "cpu":
        raise ConfigError(
            f"train.fast_convolutions: true is for a CPU, and this run is on {device}",
            hint="use train.fast_convolutions: auto",
        )
    problem = kernels_problem()
    if problem is not None:
        raise ConfigError(
            f"train.fast_convolutions is true, but numba {problem}",
            hint='pip install -e ".[fast]", or set train.fast_convolutions: auto',
        )


def fast_layers(network: StagedNetwork, train: TrainConfig) -> list[nn.Conv2D]:
    """The layers that the kernels compute; none where the config, the device or numba is against it.

    A line says that there are some, once in a process.

    Args:
        network: What is trained or evaluated; layers of stages that do not run now are left out.
        train: What the config asks for.
    """
    wanted = train.fast_convolutions
    if not wanted or paddle.get_device() != "cpu" or not is_installed():
        return []
    layers = suitable_layers(running_layers(network))
    if len(layers) < (1 if wanted is True else _FEW):
        return []
    problem = kernels_problem()
    if problem is not None:
        _once(warn, f"convolutions are left to Paddle: numba {problem}")
        return []
    _once(info, "convolutions are computed by kernels of numba (train.fast_convolutions)")
    return layers


def running_layers(network: StagedNetwork) -> list[nn.Layer]:
    """The sublayers with weights in stages that run now (``StagedNetwork.starting_at`` says which)."""
    running = {
        key for index in range(network.start_stage, len(network.stage_names)) for key in network.stage_parameters(index)
    }
    return [layer for path, layer in network.named_sublayers() if f"{path}.weight" in running]


@cache
def _once(tell: Callable[[str], None], line: str) -> None:
    tell(line)
