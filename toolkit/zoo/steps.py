"""From the steps of a row to things that can be called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import paddle
import paddle.nn.functional as F
from paddle import Tensor, nn

from toolkit.zoo.spec import Stage

__all__ = ["FUNCTIONS", "BoundStage", "Step", "bind_stage", "expand_stages", "layer_at"]

Step = Callable[[Tensor], Tensor]


def _flatten(x: Tensor) -> Tensor:
    return paddle.flatten(x, 1)


def _squeeze(x: Tensor) -> Tensor:
    return paddle.squeeze(x, axis=[2, 3])


def _pool(x: Tensor) -> Tensor:
    """Average over height and width where there are any: [N, C, H, W] -> [N, C]; [N, D] stays."""
    return paddle.flatten(F.adaptive_avg_pool2d(x, 1), 1) if x.ndim == 4 else x


def _gray(x: Tensor) -> Tensor:
    """Colour to luma (ITU-R BT.601): [N, 3, H, W] -> [N, 1, H, W]; gray images stay."""
    if x.shape[1] == 1:
        return x
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


FUNCTIONS: Mapping[str, Step] = {
    ":flatten": _flatten,
    ":gray": _gray,
    ":pool": _pool,
    ":relu": F.relu,
    ":squeeze": _squeeze,
}


@dataclass(frozen=True, eq=False)
class BoundStage:
    """A stage of a network that exists.

    Attributes:
        name: Name of the stage.
        steps: What to call, in order.
        layers: The sublayers among them, by their path in the network.
        weights: What can be trained in it, by full state-dict key.
    """

    name: str
    steps: tuple[Step, ...]
    layers: Mapping[str, nn.Layer]
    weights: Mapping[str, Tensor]

    def state(self) -> dict[str, Tensor]:
        """Weights and statistics, by full state-dict key."""
        return {
            f"{path}.{key}": value for path, layer in self.layers.items() for key, value in layer.state_dict().items()
        }

    def set_training(self, mode: bool) -> None:
        """Put every layer of the stage in training or evaluation mode."""
        for layer in self.layers.values():
            for sublayer in layer.sublayers(include_self=True):
                sublayer.training = mode


def layer_at(network: nn.Layer, path: str) -> nn.Layer:
    """The sublayer at a dotted path; the network itself for an empty one.

    Raises:
        KeyError: There is no such sublayer.
    """
    layer = network
    for name in filter(None, path.split(".")):
        layer = layer._sub_layers[name]
    return layer


def _expand(network: nn.Layer, pattern: Stage) -> list[Stage]:
    parent, _, glob = pattern.name.rpartition(".")
    prefix = f"{parent}." if parent else ""
    names = (name for name, _ in layer_at(network, parent).named_children() if fnmatchcase(name, glob))
    return [Stage(prefix + name, (prefix + name,)) for name in names]


def expand_stages(network: nn.Layer, stages: Iterable[Stage]) -> list[Stage]:
    """Replace patterns by one stage for each sublayer that they match.

    Args:
        network: The original network.
        stages: The stages of its row.

    Returns:
        Stages without patterns, in forward order.
    """
    return [one for stage in stages for one in (_expand(network, stage) if "*" in stage.name else [stage])]


def bind_stage(
    network: nn.Layer, name: str, steps: Iterable[str], replaced: Mapping[str, nn.Layer] | None = None
) -> BoundStage:
    """Look up what the steps of a stage name.

    Args:
        network: The original network.
        name: Name of the stage.
        steps: Its steps.
        replaced: Layers, by path, that stand in for the network's own.

    Returns:
        The stage, ready to run. What cannot be trained in the original (running statistics that are kept as
        parameters) does not count as a weight.
    """
    layers: dict[str, nn.Layer] = {}
    calls: list[Step] = []
    for step in steps:
        if step in FUNCTIONS:
            calls.append(FUNCTIONS[step])
        else:
            layers[step] = replaced[step] if replaced and step in replaced else layer_at(network, step)
            calls.append(layers[step])
    weights = {
        f"{path}.{key}": parameter
        for path, layer in layers.items()
        for key, parameter in layer.named_parameters()
        if not parameter.stop_gradient
    }
    return BoundStage(name, tuple(calls), layers, weights)
