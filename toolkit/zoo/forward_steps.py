"""From the steps of a row to things that can be called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from paddle import Tensor, nn

from toolkit.zoo.functions import FUNCTIONS
from toolkit.zoo.spec import Stage

Step = Callable[[Tensor], Tensor]
Thing: TypeAlias = "nn.Layer | Tensor"
"""What a step names: a sublayer, or a parameter of the network itself."""


@dataclass(frozen=True, eq=False)
class BoundStage:
    """A stage of a network that exists.

    Attributes:
        name: Name of the stage.
        steps: What to call, in order.
        layers: The sublayers among them, by their path in the network.
        parameters: The parameters that steps name themselves (``:add pos_embed``), by their path.
        weights: What can be trained in it, by full state-dict key.
    """

    name: str
    steps: tuple[Step, ...]
    layers: Mapping[str, nn.Layer]
    parameters: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]

    def sublayers(self) -> Iterator[nn.Layer]:
        """All layers in it, down to the smallest."""
        return (layer for top in self.layers.values() for layer in top.sublayers(include_self=True))

    def state(self) -> dict[str, Tensor]:
        """Weights and statistics, by full state-dict key."""
        return dict(self.parameters) | {
            f"{path}.{key}": value for path, layer in self.layers.items() for key, value in layer.state_dict().items()
        }


def layer_at(network: nn.Layer, path: str) -> nn.Layer:
    """The sublayer at a dotted path; the network itself for an empty one.

    Raises:
        KeyError: There is no such sublayer.
    """
    layer, rest = network, path
    while rest:
        names = (name for name in layer._sub_layers if f"{rest}.".startswith(f"{name}."))
        name = max(names, key=len, default=None)  # names may have dots in them
        if name is None:
            raise KeyError(path)
        layer, rest = layer._sub_layers[name], rest[len(name) + 1 :]
    return layer


def _thing_at(network: nn.Layer, path: str) -> nn.Layer | Tensor:
    """The sublayer or the parameter of the network itself at a path."""
    parameter = network._parameters.get(path)
    return layer_at(network, path) if parameter is None else parameter


def _expand(network: nn.Layer, pattern: Stage) -> list[Stage]:
    (step,) = pattern.steps
    function, _, path = step.rpartition(" ")
    parent, _, glob = path.rpartition(".")
    prefix, call = f"{parent}." if parent else "", f"{function} " if function else ""
    children = (name for name, _ in layer_at(network, parent).named_children() if fnmatchcase(name, glob))
    stages = []
    for number, child in enumerate(children):
        name = prefix + child if path == pattern.name else pattern.name.replace("*", str(number))
        stages.append(Stage(name, (f"{call}{prefix}{child}",)))
    return stages


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
    parameters: dict[str, Tensor] = {}

    def find(path: str) -> nn.Layer | Tensor:
        thing = replaced[path] if replaced and path in replaced else _thing_at(network, path)
        if isinstance(thing, nn.Layer):
            layers[path] = thing
        else:
            parameters[path] = thing
        return thing

    calls = [_bind_step(step, find) for step in steps]
    every = learnable(layers, parameters, ())
    weights = {key: parameter for key, parameter in every.items() if not parameter.stop_gradient}
    return BoundStage(name, tuple(calls), layers, parameters, weights)


def learnable(
    layers: Mapping[str, nn.Layer], parameters: Mapping[str, Tensor], fixed: Collection[int]
) -> dict[str, Tensor]:
    """Parameters of layers and those beside them, by full state-dict key.

    Args:
        layers: By path.
        parameters: By path.
        fixed: ``id`` of those that are left out.
    """
    inside = {f"{path}.{key}": each for path, layer in layers.items() for key, each in layer.named_parameters()}
    return {key: each for key, each in (inside | dict(parameters)).items() if id(each) not in fixed}


def swapped(step: Step, swap: Mapping[int, Thing]) -> Step:
    """A step with other sublayers and parameters.

    Args:
        step: Of a ``BoundStage``.
        swap: ``id`` of what it works with -> what takes its place.
    """
    if isinstance(step, _BoundFunction):
        return step.with_things(swap)
    return swap.get(id(step), step)


def _bind_step(step: str, find: Callable[[str], nn.Layer | Tensor]) -> Step:
    name, *paths = step.split(" ")
    if name not in FUNCTIONS:
        return find(step)
    function, things = FUNCTIONS[name], [find(path) for path in paths]
    return _BoundFunction(function, things) if things else function


class _BoundFunction(nn.Layer):
    """A function with the sublayers and parameters that it works with, for Paddle's tracing as a layer."""

    def __init__(self, function: Callable[..., Tensor], things: Iterable[nn.Layer | Tensor]) -> None:
        super().__init__()
        self._function = function
        self._things = tuple(things)
        for number, thing in enumerate(self._things):
            add = self.add_sublayer if isinstance(thing, nn.Layer) else self.add_parameter
            add(str(number), thing)

    def forward(self, x: Tensor) -> Tensor:
        return self._function(x, *self._things)

    def with_things(self, swap: Mapping[int, Thing]) -> _BoundFunction:
        """The same function with others, see ``swapped``."""
        return _BoundFunction(self._function, [swap.get(id(thing), thing) for thing in self._things])


def place_at(root: nn.Layer, path: str, thing: nn.Layer | Tensor) -> None:
    """Put a sublayer or a parameter into a layer under a dotted path; what is missing on the way is made.

    Args:
        root: Where to put it.
        path: Its name there.
        thing: What to put.
    """
    *parents, name = path.split(".")
    for parent in parents:
        root = root._sub_layers.get(parent) or root.add_sublayer(parent, nn.Layer())
    if isinstance(thing, nn.Layer):
        root.add_sublayer(name, thing)
    else:
        root.add_parameter(name, thing)
