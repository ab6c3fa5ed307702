"""Averages of the weights over training, which often outperform the last weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.callbacks import Callback

from toolkit.core.errors import ConfigError

_FLOATS = {"float16", "bfloat16", "float32", "float64"}
_BatchNorm = (nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D, nn.SyncBatchNorm)


class WeightAveraging(Callback):
    """Averages trainable weights and the running statistics of BatchNorm layers that train.

    ``ema``: after each step, ``average += (1 - d) * (weights - average)`` with ``d = min(decay, (1 + n) / (10 + n))``,
    n being the number of steps averaged so far, so that the average forgets its start (Polyak and Juditsky 1992;
    warm-up as in TensorFlow's ExponentialMovingAverage). Buffers are averaged like weights, as in timm's ModelEma.

    ``last``: the plain mean of the weights at the end of the last epochs (Izmailov et al. 2018, "Averaging Weights
    Leads to Wider Optima and Better Generalization", here over a window). The paper recomputes the BatchNorm statistics
    for the mean; here they are averaged with the weights, which needs no extra pass over the images. Memory: one copy
    of the moving weights per epoch of the window; a single copy for ``ema``.

    Averages use float32 or better, even for networks in half precision. Weights that start to move later (in another
    phase) are averaged as if they had been constant until then; those that stop moving are no longer averaged. The
    average does not take part in training.

    Args:
        kind: ``ema`` or ``last``.
        decay: ``ema``: share of the average that stays, in (0, 1).
        last: ``last``: number of epochs in the window, >= 2.
        start_epoch: Epochs to pass before averaging begins, >= 0.
        keep: Which weights a run keeps as its best: ``raw``, ``average``, or the ``better`` of the two.

    Attributes:
        updates: Steps (``ema``) or epochs (``last``) averaged so far.

    Raises:
        ConfigError: An argument is out of range.
    """

    def __init__(
        self,
        kind: Literal["ema", "last"] = "ema",
        decay: float = 0.999,
        last: int = 5,
        start_epoch: int = 0,
        keep: Literal["better", "raw", "average"] = "better",
    ) -> None:
        super().__init__()
        if kind not in ("ema", "last"):
            raise ConfigError(f"WeightAveraging: unknown kind {kind!r}; expected ema or last")
        if keep not in ("better", "raw", "average"):
            raise ConfigError(f"WeightAveraging: keep is {keep!r}; expected better, raw or average")
        if not 0 < decay < 1:
            raise ConfigError(f"WeightAveraging: decay is {decay:g}; expected a number between 0 and 1")
        if last < 2 or start_epoch < 0:
            raise ConfigError(f"WeightAveraging: last is {last}, start_epoch {start_epoch}; expected >= 2 and >= 0")
        self.kind = kind
        self.decay = decay
        self.last = last
        self.start_epoch = start_epoch
        self.keep = keep
        self._restored = False
        self.reset()

    def reset(self) -> None:
        """Discard all averages."""
        self.updates = 0
        self._epoch = 0
        self._moving: dict[str, Tensor] = {}
        self._copies: list[dict[str, Tensor]] = []  # ema: the average; last: weights of each epoch, the oldest first

    def state_dict(self) -> dict[str, Any]:
        """The number of averaged steps or epochs."""
        return {"updates": self.updates}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the next training continues from it, with the arrays of ``set_arrays``."""
        self.updates = state["updates"]
        self._restored = True

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The averages: ``<index of the copy>/<state-dict key>`` -> array."""
        return {f"{i}/{key}": _copied(value) for i, copy in enumerate(self._copies) for key, value in copy.items()}

    def set_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Restore the arrays returned by ``arrays``."""
        copies: dict[int, dict[str, Tensor]] = {}
        for name, array in arrays.items():
            index, _, key = name.partition("/")
            copies.setdefault(int(index), {})[key] = paddle.to_tensor(array)
        self._copies = [copies[index] for index in sorted(copies)]
        self._restored = True

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start over, unless a state was restored."""
        if not self._restored:
            self.reset()
        self._restored = False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Determine what moves in this epoch."""
        self._epoch = epoch
        self._moving = moving_arrays(self.model.network)
        if self.kind == "ema" and not self._copies and epoch >= self.start_epoch:
            self._copies.append({})
        for copy in self._copies:
            for key in copy.keys() - self._moving.keys():
                del copy[key]
            copy.update({key: _fresh(self._moving[key]) for key in self._moving.keys() - copy.keys()})

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """``ema``: update the average by one step."""
        if self.kind != "ema" or not self._copies:
            return
        share = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        (average,) = self._copies
        with paddle.no_grad():
            for key, value in average.items():
                now = self._moving[key]
                now = now if now.dtype == value.dtype else now.astype(value.dtype)
                value.add_((now - value).scale_(share))  # lerp_ does the same 10 times slower on a CPU
        self.updates += 1

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """``last``: add the weights to the window."""
        if self.kind != "last" or epoch < self.start_epoch:
            return
        del self._copies[: max(0, len(self._copies) - self.last + 1)]
        self._copies.append({key: _fresh(value) for key, value in self._moving.items()})
        self.updates += 1

    def averaged_weights(self) -> dict[str, NDArray[Any]] | None:
        """The averages of moving arrays by state-dict key; None while they equal the weights."""
        if self.kind == "ema":
            return {key: _copied(value) for key, value in self._copies[0].items()} if self.updates else None
        if len(self._copies) < 2:
            return None
        return {key: _mean([copy[key] for copy in self._copies]) for key in self._copies[-1]}

    def keeps_average(self, raw: float, average: float, mode: Literal["min", "max"]) -> bool:
        """Whether to keep the average, by the metric that decides.

        Args:
            raw: The metric with the raw weights.
            average: The metric with the averaged weights.
            mode: Whether lower or higher is better. Ties keep the raw weights.
        """
        if self.keep != "better":
            return self.keep == "average"
        if not math.isfinite(average):
            return False
        return not math.isfinite(raw) or (average < raw if mode == "min" else average > raw)


def moving_arrays(network: nn.Layer) -> dict[str, Tensor]:
    """The arrays that training changes in a network, by state-dict key.

    These are the floating-point weights and statistics of layers with a trainable weight, and the statistics of
    BatchNorm layers without weights. Arrays that do not change average to themselves.

    Args:
        network: Any layer; weights with ``stop_gradient`` are frozen.

    Returns:
        Key -> the network's tensor.
    """
    moving: dict[str, Tensor] = {}
    known = set(network.state_dict())
    for prefix, layer in network.named_sublayers(include_self=True):
        own = {**layer._parameters, **layer._buffers}  # Paddle's BatchNorm stores its statistics as parameters
        bare = isinstance(layer, _BatchNorm) and layer.weight is None and layer.bias is None
        if not bare and all(weight is None or weight.stop_gradient for weight in layer._parameters.values()):
            continue
        for name, tensor in own.items():
            key = f"{prefix}.{name}" if prefix else name
            if key in known and _dtype(tensor) in _FLOATS:
                moving[key] = tensor
    return moving


@contextmanager
def swapped_weights(network: nn.Layer, weights: Mapping[str, NDArray[Any]]) -> Iterator[None]:
    """Swap a network's weights within the context; restores the original bits, also after an error.

    Args:
        network: Any layer.
        weights: New weights by state-dict key, all or some. Rounded if the network has less precision.

    Raises:
        KeyError: The network has no such key.
    """
    state = network.state_dict()
    own = {key: state[key].clone().detach() for key in weights}
    try:
        with paddle.no_grad():
            for key, array in weights.items():
                state[key].set_value(paddle.to_tensor(array).astype(state[key].dtype))
        yield
    finally:
        with paddle.no_grad():
            for key, value in own.items():
                state[key].set_value(value)


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).rpartition(".")[2]


def _fresh(tensor: Tensor) -> Tensor:
    """A copy in float32 or better, detached from the graph."""
    return tensor.detach().astype("float64" if _dtype(tensor) == "float64" else "float32").clone()


def _copied(tensor: Tensor) -> NDArray[Any]:
    return np.array(tensor.numpy())


def _mean(tensors: list[Tensor]) -> NDArray[Any]:
    """The mean as a running mean, which preserves equal values bit for bit."""
    mean = _copied(tensors[0])
    for count, tensor in enumerate(tensors[1:], 2):
        mean += (tensor.numpy() - mean) / count
    return mean
