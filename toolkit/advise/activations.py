"""Pooled features of every stage, a network's own predictions, and BatchNorm statistics for a set of images.

They take one pass over the images. The first images run in dygraph, where hooks see the input of each BatchNorm layer;
the rest run in an inference engine if there is one, as for the feature cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.advise.batchnorm import Moments, layer_distance
from toolkit.core.console import progress
from toolkit.core.digest import fingerprint
from toolkit.data import BatchLoader
from toolkit.engine.features.cache import image_shape
from toolkit.engine.features.extract import ImageRows, extract, few_rows
from toolkit.engine.features.runners import StageSlice, choose_engine, traced
from toolkit.zoo import StagedNetwork

_BATCH = 16
_LEAST_FOR_ENGINE = 192
"""With fewer remaining images, tracing and optimising the program take longer than they save."""


@dataclass(frozen=True)
class Activations:
    """Outputs for each image.

    Attributes:
        stages: Pooled features after each stage, float32 ``[N, D]`` each, in forward order.
        outputs: Outputs of the network's head, ``[N, K]``.
        distances: ``layer_distance`` between these images and the source, for each BatchNorm layer in forward order.
        seen: Number of images on which the distances were measured.
    """

    stages: tuple[NDArray[np.float32], ...]
    outputs: NDArray[np.float32]
    distances: tuple[float, ...]
    seen: int


class StageFeatures(StageSlice):
    """Pooled features of all stages and the head's outputs, concatenated into one row per image.

    Args:
        network: The network.
        first: First stage (from 0) whose features are included.
    """

    def __init__(self, network: StagedNetwork, first: int = 0) -> None:
        super().__init__(network, 0, len(network.stage_names))
        self._first = first
        self._widths: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        """Map images [N, C, S, S] to rows [N, sum of widths + K]."""
        network, found = self.network, []
        for stage in range(len(network.stage_names)):
            x = network.features(x, stage + 1, stage)
            if stage >= self._first:
                found.append(network.pool(x))
        found.append(network.forward_from(x, len(network.stage_names)))
        return paddle.concat(found, axis=1)

    def facts(self) -> list[object]:
        """Return what identifies the outputs; see ``StageSlice.facts``."""
        return [*super().facts(), "codes", self._first, self.network.num_classes]

    def digest(self) -> str:
        """Return a digest of all weights."""
        return hashlib.sha256(json.dumps(fingerprint(self.network.state_dict())).encode()).hexdigest()[:32]

    def pieces(self, outputs: NDArray[np.floating[Any]]) -> list[NDArray[np.floating[Any]]]:
        """Split rows into the features of each stage and the head's outputs."""
        return np.split(outputs, np.cumsum(self._widths)[:-1], axis=1)

    def widths(self, shape: tuple[int, ...]) -> list[int]:
        """Return the widths of the pieces of a row.

        Args:
            shape: Shape of one image.
        """
        network, widths = self.network, []
        self.eval()
        with paddle.no_grad():
            x = paddle.zeros([1, *shape])
            for stage in range(len(network.stage_names)):
                x = network.features(x, stage + 1, stage)
                widths += [int(network.pool(x).shape[1])] if stage >= self._first else []
            self._widths = [*widths, int(network.forward_from(x, len(network.stage_names)).shape[1])]
        return self._widths


def activations(
    network: StagedNetwork,
    loader: BatchLoader,
    *,
    title: str,
    statistics: int,
    engine: str,
    device: str,
    first: int = 0,
) -> Activations:
    """Run all images of a loader through a network.

    Args:
        network: The network; left in evaluation mode.
        loader: Images in order, without augmentation.
        title: Title of the progress bar.
        statistics: Number of images, from the first, on which to measure BatchNorm inputs; 0: none.
        engine: Engine for the rest, as in ``cache.engine``.
        device: Paddle's name of the device.
        first: First stage (from 0) to include in the result.

    Raises:
        ToolkitError: An image cannot be read.
    """
    codes, count = StageFeatures(network, first), len(loader.images)
    shape = image_shape(loader.preprocessing)
    codes.eval()
    widths = codes.widths(shape)
    plain = min(count, statistics)
    if count - plain < _LEAST_FOR_ENGINE:
        engine, plain = "dygraph", count
    rows: list[NDArray[np.floating[Any]]] = []
    source = ImageRows(loader)
    with progress() as bar:
        task = bar.add_task(title, total=count)
        with _statistics(network, enabled=statistics > 0) as layers:
            starts = range(0, plain, _BATCH)
            with closing(source.ahead([np.arange(start, min(start + _BATCH, plain)) for start in starts])) as batches:
                for start, batch in zip(starts, batches, strict=True):
                    if start >= statistics:
                        layers.pause()
                    with paddle.no_grad():
                        rows.append(codes(paddle.to_tensor(batch)).numpy())
                    bar.advance(task, len(rows[-1]))
        if plain < count:
            chosen = choose_engine(engine, device, count - plain)
            with traced(codes, shape, chosen, few_rows(loader)) as program:
                for block in extract(codes, program, source, range(plain, count)):
                    rows.append(block)
                    bar.advance(task, len(block))
    parts = np.split(np.concatenate(rows).astype(np.float32), np.cumsum(widths)[:-1], axis=1)
    return Activations(tuple(parts[:-1]), parts[-1], layers.distances(), min(count, statistics))


class _Layers:
    """Input statistics of BatchNorm layers, in the order in which they ran."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[nn.Layer, Moments]] = {}
        self._hooks: list[Any] = []

    def listen(self, network: nn.Layer) -> None:
        for layer in network.sublayers():
            if _has_statistics(layer):
                self._hooks.append(layer.register_forward_pre_hook(self._note))

    def pause(self) -> None:
        """Stop listening."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def _note(self, layer: nn.Layer, inputs: tuple[Tensor, ...]) -> None:
        x = inputs[0]
        axes = [0, *range(2, x.ndim)]
        mean = paddle.mean(x, axis=axes, keepdim=True)
        variance = paddle.mean(paddle.square(x - mean), axis=axes)
        moments = self._found.setdefault(id(layer), (layer, Moments()))[1]
        count = int(np.prod(x.shape)) // x.shape[1]
        moments.add(count, mean.numpy().reshape(-1), variance.numpy())

    def distances(self) -> tuple[float, ...]:
        return tuple(
            layer_distance(moments.mean, moments.variance, layer._mean.numpy(), layer._variance.numpy())
            for layer, moments in self._found.values()
        )


def _has_statistics(layer: nn.Layer) -> bool:
    """Return whether a layer is a BatchNorm layer, of any of Paddle's classes."""
    return isinstance(getattr(layer, "_mean", None), Tensor) and isinstance(getattr(layer, "_variance", None), Tensor)


@contextmanager
def _statistics(network: nn.Layer, *, enabled: bool) -> Iterator[_Layers]:
    layers = _Layers()
    if enabled:
        layers.listen(network)
    try:
        yield layers
    finally:
        layers.pause()
