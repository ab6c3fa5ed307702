"""Bind the steps of a row to callables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from paddle import Tensor, nn

from toolkit.zoo.functions import FUNCTIONS
from toolkit.zoo.spec import Stage

Step = Callable[[Tensor], Tensor]
Operand: TypeAlias = "nn.Layer | Tensor"
"""What a step refers to: a sublayer, or a parameter of the network itself."""


@dataclass(frozen=True, eq=False)
class BoundStage:
    """A stage bound to a network.

    Attributes:
        name: Name of the stage.
        steps: Callables, in order.
        layers: The sublayers among them, by their path in the network.
        parameters: The parameters that steps name directly (``:add pos_embed``), by their path.
        weights: Its trainable weights, by full state-dict key.
    """

    name: str
    steps: tuple[Step, ...]
    layers: Mapping[str, nn.Layer]
    parameters: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]

    def sublayers(self) -> Iterator[nn.Layer]:
        """All its layers, recursively."""
        return (layer for top in self.layers.values() for layer in top.sublayers(include_self=True))

    def state(self) -> dict[str, Tensor]:
        """Weights and statistics, by full state-dict key."""
        return dict(self.parameters) | {
            f"{path}.{key}": value for path, layer in self.layers.items() for key, value in layer.state_dict().items()
        }


def layer_at(network: nn.Layer, path: str) -> nn.Layer:
    """The sublayer at a dotted path; the network itself for an empty path.

    Raises:
        KeyError: No such sublayer.
    """
    layer, rest = network, path
    while rest:
        names = (name for name in layer._sub_layers if f"{rest}.".startswith(f"{name}."))
        name = max(names, key=len, default=None)  # names may contain dots
        if name is None:
            raise KeyError(path)
        layer, rest = layer._sub_layers[name], rest[len(name) + 1 :]
    return layer


def _operand_at(network: nn.Layer, path: str) -> nn.Layer | Tensor:
    """The sublayer, or the network's own parameter, at a path."""
    parameter = network._parameters.get(path)
    return layer_at(network, path) if parameter is None else parameter


def _expand(network: nn.Layer, pattern: Stage) -> list[Stage]:
    (step,) = pattern.steps
    function, _, path = step.rpartition(" ")
    parent, _, glob = path.rpartition(".")
    prefix, call = f"{parent}." if parent else "", f"{function} " if function else ""
    children = (name for name, _ in layer_at(network, parent).named_children() if fnmatchcase(name, glob))
    stages = []
    for index, child in enumerate(children):
        name = prefix + child if path == pattern.name else pattern.name.replace("*", str(index))
        stages.append(Stage(name, (f"{call}{prefix}{child}",)))
    return stages


def expand_stages(network: nn.Layer, stages: Iterable[Stage]) -> list[Stage]:
    """Expand patterns to one stage per matching sublayer.

    Args:
        network: The original network.
        stages: The stages of its row.

    Returns:
        Stages without patterns, in forward order.
    """
    return [expanded for stage in stages for expanded in (_expand(network, stage) if "*" in stage.name else [stage])]


def bind_stage(
    network: nn.Layer, name: str, steps: Iterable[str], replaced: Mapping[str, nn.Layer] | None = None
) -> BoundStage:
    """Resolve the names in a stage's steps.

    Args:
        network: The original network.
        name: Name of the stage.
        steps: Its steps.
        replaced: Layers, by path, that replace the network's own.

    Returns:
        The stage, ready to run. What is not trainable in the original (running statistics stored as
        parameters) does not count as a weight.
    """
    layers: dict[str, nn.Layer] = {}
    parameters: dict[str, Tensor] = {}

    def find(path: str) -> nn.Layer | Tensor:
        operand = replaced[path] if replaced and path in replaced else _operand_at(network, path)
        if isinstance(operand, nn.Layer):
            layers[path] = operand
        else:
            parameters[path] = operand
        return operand

    calls = [_bind_step(step, find) for step in steps]
    every = learnable(layers, parameters, ())
    weights = {key: parameter for key, parameter in every.items() if not parameter.stop_gradient}
    return BoundStage(name, tuple(calls), layers, parameters, weights)


def learnable(
    layers: Mapping[str, nn.Layer], parameters: Mapping[str, Tensor], fixed: Collection[int]
) -> dict[str, Tensor]:
    """Parameters of layers and separate ones, by full state-dict key.

    Args:
        layers: Layers by path.
        parameters: Separate parameters by path.
        fixed: ``id`` of parameters to omit.
    """
    inside = {f"{path}.{key}": p for path, layer in layers.items() for key, p in layer.named_parameters()}
    return {key: p for key, p in (inside | dict(parameters)).items() if id(p) not in fixed}


def swapped(step: Step, swap: Mapping[int, Operand]) -> Step:
    """A copy of a step with other sublayers and parameters.

    Args:
        step: A step of a ``BoundStage``.
        swap: ``id`` of an operand -> its replacement.
    """
    if isinstance(step, _BoundFunction):
        return step.with_operands(swap)
    return swap.get(id(step), step)


def _bind_step(step: str, find: Callable[[str], nn.Layer | Tensor]) -> Step:
    name, *paths = step.split(" ")
    if name not in FUNCTIONS:
        return find(step)
    function, operands = FUNCTIONS[name], [find(path) for path in paths]
    return _BoundFunction(function, operands) if operands else function


class _BoundFunction(nn.Layer):
    """A function with its sublayers and parameters, as a layer for Paddle's tracing."""

    def __init__(self, function: Callable[..., Tensor], operands: Iterable[nn.Layer | Tensor]) -> None:
        super().__init__()
        self._function = function
        self._operands = tuple(operands)
        for index, operand in enumerate(self._operands):
            add = self.add_sublayer if isinstance(operand, nn.Layer) else self.add_parameter
            add(str(index), operand)

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, *self._operands)

    def with_operands(self, swap: Mapping[int, Operand]) -> _BoundFunction:
        """A copy with other operands, see ``swapped``."""
        return _BoundFunction(self._function, [swap.get(id(operand), operand) for operand in self._operands])


def place_at(root: nn.Layer, path: str, operand: nn.Layer | Tensor) -> None:
    """Put a sublayer or parameter into a layer under a dotted path, creating missing parents.

    Args:
        root: The layer to put it into.
        path: Its dotted path there.
        operand: The sublayer or parameter.
    """
    *parents, name = path.split(".")
    for parent in parents:
        root = root._sub_layers.get(parent) or root.add_sublayer(parent, nn.Layer())
    if isinstance(operand, nn.Layer):
        root.add_sublayer(name, operand)
    else:
        root.add_parameter(name, operand)
