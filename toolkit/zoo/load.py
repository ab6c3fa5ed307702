"""Load weights into a network: everything must match, or the error names what does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paddle import Tensor

from toolkit.core.console import info
from toolkit.core.errors import WeightsError
from toolkit.zoo.input_layer import adapt_filters
from toolkit.zoo.network import StagedNetwork
from toolkit.zoo.standardised_head import FEATURE_STATISTICS
from toolkit.zoo.weights import read_weights


def load_weights(network: StagedNetwork, path: str | Path, *, with_head: bool = True) -> int:
    """Load a weights file into a network and report it.

    Args:
        network: The network.
        path: A ``.pdparams`` or ``.safetensors`` file of the same network: Paddle's, or one of an earlier run. Arrays
            of stages that were cut off are ignored. If the network's input channels differ from the original's, the
            original's first convolution is adapted (``adapt_filters``). Auxiliary classifiers missing from the file
            stay as they are; a head without feature statistics uses features unchanged.
        with_head: If False, leave the head unchanged, even if the file has weights for it.

    Returns:
        Number of arrays loaded.

    Raises:
        WeightsError: The file cannot be read, or does not match; then nothing is loaded.
    """
    path = Path(path)
    arrays = read_weights(path)
    new = () if with_head else _heads(network)
    targets = {k: v for k, v in network.state_dict().items() if not k.startswith(new)}
    notes = []
    auxiliary = [k for k in network.auxiliary_state() if k in targets]
    if auxiliary and not any(k in arrays for k in auxiliary):  # only used in training
        targets = {k: v for k, v in targets.items() if k not in auxiliary}
        notes.append("auxiliary classifiers are new")
    plain = _without_statistics(targets, arrays)
    targets = {k: v for k, v in targets.items() if k not in plain}
    passed = new or tuple(head for head in _heads(network)[1:] if f"{head}weight" in network.left_out)
    foreign = [k for k in arrays if k not in targets and k not in network.left_out and not k.startswith(passed)]
    fitted = {k: _as_type(arrays[k], target) for k, target in targets.items() if k in arrays}
    if (key := _input_to_adapt(network, fitted)) is not None:
        fitted[key] = adapt_filters(fitted[key], network.in_channels)
        notes.append(f"input layer adapted from {network.spec.in_channels} to {network.in_channels} channels")
    if problems := _problems(targets, fitted, foreign):
        raise WeightsError(f"{path.name} does not fit {network.spec.name}: {problems}", hint=_fix(network, arrays))
    for key, value in fitted.items():
        targets[key].set_value(value)
    for target, default in plain.values():
        target.set_value(np.full(target.shape, default, np.float32))
    if not with_head:
        notes.append(f"head is new ({network.num_classes} outputs)")
    info("; ".join([f"weights: {path.name} loaded ({len(fitted)} arrays)", *notes]))
    return len(fitted)


def _heads(network: StagedNetwork) -> tuple[str, ...]:
    """Key prefixes of the head and the auxiliary classifiers' last layers, which are new for new classes."""
    return tuple(f"{head}." for head in (network.spec.head, *(auxiliary.head for auxiliary in network.spec.auxiliary)))


def _without_statistics(
    targets: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> dict[str, tuple[Tensor, float]]:
    """Key -> buffer and default value of a head's feature statistics, if the file has none of them."""
    buffers = {k: (v, FEATURE_STATISTICS[name]) for k, v in targets.items() if (name := _last(k)) in FEATURE_STATISTICS}
    return {} if any(key in arrays for key in buffers) else buffers


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _input_to_adapt(network: StagedNetwork, fitted: Mapping[str, np.ndarray]) -> str | None:
    """Key of the first convolution's weights, if the file has them for the original's channels."""
    key = network.input_weight
    array = None if key is None else fitted.get(key)
    own = array is not None and array.ndim == 4 and array.shape[1] == network.spec.in_channels
    return key if own else None


def _as_type(array: np.ndarray, target: Tensor) -> np.ndarray:
    """The array in the target's type. Paddle stores bfloat16 as uint16: the upper half of a float32."""
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


def _fix(network: StagedNetwork, arrays: Mapping[str, np.ndarray]) -> str:
    """What to do: only the head or the input layer may differ in size, or the file is another network's."""
    head = _heads(network)
    file = {key: tuple(array.shape) for key, array in arrays.items() if not key.startswith(head)}
    own = {key: tuple(value.shape) for key, value in network.state_dict().items() if not key.startswith(head)}
    differing = [key for key in {**own, **file} if own.get(key) != file.get(key)]
    if not differing:
        return "only the head differs: give the head, pooling and number of classes used in training"
    shapes = [(own.get(key, ()), file.get(key, ())) for key in differing]
    if len(shapes) == 1 and all(len(shape) == 4 for shape in shapes[0]) and shapes[0][0][2:] == shapes[0][1][2:]:
        return f"only one layer differs: were the weights trained with model.in_channels: {shapes[0][1][1]}?"
    return f"give weights that were saved from {network.spec.name}"
