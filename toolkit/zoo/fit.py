"""Putting weights into a network: everything must fit, or the error names what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paddle import Tensor

from toolkit.console import info
from toolkit.errors import WeightsError
from toolkit.zoo.network import StagedNetwork
from toolkit.zoo.weights import read_weights

__all__ = ["load_weights"]


def load_weights(network: StagedNetwork, path: str | Path, *, with_head: bool = True) -> int:
    """Load a file into a network and say so in one line.

    Args:
        network: The network.
        path: A ``.pdparams`` or ``.safetensors`` file of the same network: Paddle's, or one of an earlier run. What
            the file holds of stages that were cut off is passed over.
        with_head: False leaves the head as it is, whatever the file holds for it.

    Returns:
        Number of arrays loaded.

    Raises:
        WeightsError: The file cannot be read, or does not fit; then nothing was loaded.
    """
    path = Path(path)
    arrays = read_weights(path)
    prefix = f"{network.spec.head}."
    targets = {k: v for k, v in network.state_dict().items() if with_head or not k.startswith(prefix)}
    foreign = [k for k in arrays if k not in targets and k not in network.left_out]
    if not with_head:
        foreign = [k for k in foreign if not k.startswith(prefix)]
    fitted = {k: _as_type(arrays[k], target) for k, target in targets.items() if k in arrays}
    if problems := _problems(targets, fitted, foreign):
        raise WeightsError(f"{path.name} does not fit {network.spec.name}: {problems}", hint=_cure(network, arrays))
    for key, value in fitted.items():
        targets[key].set_value(value)
    head = "" if with_head else f"; head is new ({network.num_classes} classes)"
    info(f"weights: {path.name} loaded ({len(fitted)} arrays){head}")
    return len(fitted)


def _as_type(array: np.ndarray, target: Tensor) -> np.ndarray:
    """The array in the target's type. Paddle keeps bfloat16 as uint16: the upper half of a float32."""
    wanted = np.dtype(str(target.dtype).rpartition(".")[2])
    if wanted.kind == "f" and array.dtype == np.uint16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(wanted, copy=False)


def _problems(targets: Mapping[str, Tensor], fitted: Mapping[str, np.ndarray], foreign: Sequence[str]) -> str:
    missing = [key for key in targets if key not in fitted]
    misshaped = [
        f"{key} is {tuple(fitted[key].shape)} in the file and {tuple(target.shape)} in the network"
        for key, target in targets.items()
        if key in fitted and tuple(fitted[key].shape) != tuple(target.shape)
    ]
    kinds = (("missing", missing), ("not expected", foreign), ("of another shape", misshaped))
    return "; ".join(f"{len(keys)} {what} ({_first(keys)})" for what, keys in kinds if keys)


def _first(keys: Sequence[str]) -> str:
    return ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")


def _cure(network: StagedNetwork, arrays: Mapping[str, np.ndarray]) -> str:
    """What to do: the head alone may be of another size, or the file is another network's."""
    head = f"{network.spec.head}."
    file = {key: tuple(array.shape) for key, array in arrays.items() if not key.startswith(head)}
    own = {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.startswith(head)}
    if file == own:
        return "only the head differs: give the head and the number of classes that it was trained for"
    return f"give weights that were saved from {network.spec.name}"
