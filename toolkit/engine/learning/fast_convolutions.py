"""Choose the convolutions to compute with the kernels of the ``fast`` extra."""

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
"""With fewer layers, loading the kernels takes longer than they save."""


def check_convolutions(train: TrainConfig) -> None:
    """Raise an error if the kernels are requested but cannot be used.

    Raises:
        ConfigError: numba is not installed or does not work, or the device is not a CPU.
    """
    if train.fast_convolutions is not True:
        return
    device = paddle.get_device()
    if device != "cpu":
        raise ConfigError(
            f"train.fast_convolutions: true needs a CPU, but this run uses {device}",
            hint="use train.fast_convolutions: auto",
        )
    problem = kernels_problem()
    if problem is not None:
        raise ConfigError(
            f"train.fast_convolutions is true, but numba {problem}",
            hint='pip install -e ".[fast]", or set train.fast_convolutions: auto',
        )


def fast_layers(network: StagedNetwork, train: TrainConfig) -> list[nn.Conv2D]:
    """The layers that the kernels compute; none if the config, the device or numba rules it out.

    Reports their use once per process.

    Args:
        network: The network to train or evaluate; layers of stages that do not currently run are skipped.
        train: The training settings.
    """
    wanted = train.fast_convolutions
    if not wanted or paddle.get_device() != "cpu" or not is_installed():
        return []
    layers = suitable_layers(running_layers(network))
    if len(layers) < (1 if wanted is True else _FEW):
        return []
    problem = kernels_problem()
    if problem is not None:
        _once(warn, f"Paddle computes convolutions: numba {problem}")
        return []
    _once(info, "numba kernels compute convolutions (train.fast_convolutions)")
    return layers


def running_layers(network: StagedNetwork) -> list[nn.Layer]:
    """The sublayers with weights in stages that currently run (see ``StagedNetwork.starting_at``)."""
    running = {
        key for index in range(network.start_stage, len(network.stage_names)) for key in network.stage_parameters(index)
    }
    return [layer for path, layer in network.named_sublayers() if f"{path}.weight" in running]


@cache
def _once(tell: Callable[[str], None], line: str) -> None:
    tell(line)
