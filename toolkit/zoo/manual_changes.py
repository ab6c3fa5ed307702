"""Detect manual changes to a network, so that what it now contains is what runs, learns and is saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from paddle import Tensor, nn

from toolkit.core.errors import NetworkError
from toolkit.zoo.forward_steps import BoundStage, Operand, learnable, swapped
from toolkit.zoo.sync_batch_norm import BATCH_NORMS


class _Network(Protocol):
    """What is asked of a ``StagedNetwork`` here."""

    by_hand: ManualChanges
    known: Known
    stage_names: tuple[str, ...]
    _forward_pre_hooks: Mapping[int, Any]

    @property
    def learned_pooling(self) -> nn.Layer | None: ...
    def parts(self) -> Iterator[tuple[int | None, BoundStage]]: ...
    def take_part(self, index: int | None, part: BoundStage, swap: Mapping[int, Operand]) -> None: ...
    def sublayers(self) -> list[nn.Layer]: ...
    def add_sublayer(self, name: str, sublayer: nn.Layer) -> nn.Layer: ...
    def parameters(self) -> list[Tensor]: ...


_POOLING = "learned_pooling"
"""Attribute for learned pooling once the head that it came with was replaced."""
_PASSING = ("training", "_built", "_full_name", "_cast_to_low_precision")
"""Attributes of Paddle's layers that do not affect what they compute in evaluation."""


@dataclass
class ManualChanges:
    """Manual changes since the network was created.

    Attributes:
        layers: A short description of each part with changed layers: ``head: classifier is Sequential``.
        stages: Indices of the changed stages.
        head: Whether the head changed.
        weights: State-dict keys of new weights.
        frozen: Number of frozen stages set by hand, or None.
        held: State-dict keys of held weights, besides those of frozen stages.
        evaluating: Paths of layers that stay in evaluation mode even in training.
    """

    layers: list[str] = field(default_factory=list)
    stages: set[int] = field(default_factory=set)
    head: bool = False
    weights: set[str] = field(default_factory=set)
    frozen: int | None = None
    held: frozenset[str] = frozenset()
    evaluating: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Known:
    """The composition of a network at the last inspection.

    Attributes:
        containers: Container layers by path.
        layers: Every layer that runs -> its settings, besides its weights.
        fixed: Paddle parameters that are not weights: running statistics.
        original: The layers that the network was created with.
    """

    containers: Mapping[str, nn.Layer]
    layers: Mapping[nn.Layer, Any]
    fixed: tuple[Tensor, ...]
    original: frozenset[nn.Layer]


def remember(network: _Network, earlier: Known | None = None) -> Known:
    """Record the network's current composition.

    Args:
        network: The network; its parts are up to date.
        earlier: The previous record; None for a new network.
    """
    parts = [part for _, part in network.parts()]
    paths = [path for part in parts for path in (*part.layers, *part.parameters)]
    containers = {}
    for path in paths:
        for end in (i for i, letter in enumerate(path) if letter == "."):
            if path[:end] not in paths:
                containers[path[:end]] = _at(network, path[:end])
    layers = {layer: _signature(layer) for part in parts for layer in part.sublayers()}
    if earlier is None:
        fixed = tuple(parameter for parameter in network.parameters() if parameter.stop_gradient)
        return Known(containers, layers, fixed, frozenset(layers))
    return replace(earlier, containers=containers, layers=layers)


def rebind(network: _Network) -> None:
    """Resolve again what the parts of a network run and learn, and note changes in ``network.by_hand``.

    Raises:
        NetworkError: A change cannot be trained: something is missing, never runs, or replaces several parts.
    """
    if "forward" in network.__dict__ or type(network).__dict__.get("forward") is None or network._forward_pre_hooks:
        raise NetworkError(
            "the network's forward was changed by hand, but training, features and export run its stages and its head",
            hint="change a stage or the head instead",
        )
    known, changes = network.known, network.by_hand
    now = _look_up(network, known)
    _refuse_what_never_runs(network, [path for path, _ in now.values()], known)
    ids = {id(weight) for _, part in network.parts() for weight in part.weights.values()}
    fixed = {id(statistic) for statistic in (*known.fixed, *_statistics(network))}
    for index, part in list(network.parts()):
        olds = {**part.layers, **part.parameters}
        swap = {id(old): now[path][1] for path, old in olds.items() if now[path][1] is not old}
        new = _rebound(part, now, swap, fixed)
        words = _difference(part, new, known, ids)
        network.take_part(index, new, swap)
        if words:
            line = f"{new.name if index is None else f'stage {new.name}'}: {words}"
            changes.layers = [*(known_line for known_line in changes.layers if known_line != line), line]
            changes.head |= index is None
            changes.stages |= {index} if index is not None and index < len(network.stage_names) else set()
        changes.weights |= {key for key, weight in new.weights.items() if id(weight) not in ids}
    _keep_pooling(network)
    network.known = remember(network, known)


def _at(network: nn.Layer, path: str) -> Operand | None:
    """The sublayer or parameter currently at a path."""
    *parents, name = path.split(".")
    layer: Any = network
    for parent in parents:
        layer = layer._sub_layers.get(parent)
        if not isinstance(layer, nn.Layer):
            return None
    sublayer = layer._sub_layers.get(name)
    return layer._parameters.get(name) if sublayer is None else sublayer


def _look_up(network: _Network, known: Known) -> dict[str, tuple[str, Operand]]:
    """Old path of everything that runs -> its current path and object."""
    paths = [path for _, part in network.parts() for path in (*part.layers, *part.parameters)]
    replaced = [path for path, layer in known.containers.items() if _at(network, path) is not layer]
    tops = [path for path in replaced if not any(path.startswith(f"{other}.") for other in replaced)]
    now: dict[str, tuple[str, Operand]] = {}
    for top in tops:
        below = [path for path in paths if path.startswith(f"{top}.")]
        layer = _at(network, top)
        if isinstance(layer, nn.Layer) and len(below) == 1 and type(layer) is not nn.Layer:
            now[below[0]] = top, layer
        elif isinstance(layer, nn.Layer) and set(layer._sub_layers) != set(known.containers[top]._sub_layers):
            raise NetworkError(
                f"network.{top} was replaced by hand, but it held {len(below)} parts: {', '.join(below[:4])}, ...",
                hint=f"the head alone is network.{_head_path(network)}; replace one part at a time",
            )
    for path in paths:
        operand = now[path][1] if path in now else _at(network, path)
        if operand is None:
            raise NetworkError(f"network.{path} is gone, but it runs in {_owner(network, path)}", hint="put it back")
        now.setdefault(path, (path, operand))
    return now


def _owner(network: _Network, path: str) -> str:
    return next(part.name for _, part in network.parts() if path in part.layers or path in part.parameters)


def _refuse_what_never_runs(network: _Network, paths: list[str], known: Known) -> None:
    """Reject layers and weights outside the parts: nothing would call them."""
    holders = ["", *(path for path in known.containers if path not in paths)]
    for holder in holders:
        layer = _at(network, holder) if holder else network
        if not isinstance(layer, nn.Layer) or any(holder.startswith(f"{path}.") for path in paths):
            continue
        prefix = f"{holder}." if holder else ""
        wanted = {path[len(prefix) :].partition(".")[0] for path in paths if path.startswith(prefix)}
        there = [name for group in (layer._sub_layers, layer._parameters) for name, v in group.items() if v is not None]
        extra = [name for name in there if name not in wanted]
        if extra:
            raise NetworkError(
                f"network.{prefix}{extra[0]} was added by hand, but nothing runs it: forward runs the stages "
                f"and the head, network.{_head_path(network)}",
                hint=f"make it a part of the head: network.{_head_path(network)} = nn.Sequential(...)",
            )


def _head_path(network: _Network) -> str:
    return list(_head(network).layers)[-1]


def _head(network: _Network) -> BoundStage:
    return next(part for index, part in network.parts() if index is None)


def _statistics(network: _Network) -> Iterator[Tensor]:
    """Running statistics, which Paddle stores as parameters."""
    for layer in network.sublayers():
        if isinstance(layer, BATCH_NORMS):
            yield from (statistic for statistic in (layer._mean, layer._variance) if statistic is not None)


def _rebound(
    part: BoundStage, now: Mapping[str, tuple[str, Operand]], swap: Mapping[int, Operand], fixed: set[int]
) -> BoundStage:
    operands = dict(now[path] for path in (*part.layers, *part.parameters))
    layers = {path: operand for path, operand in operands.items() if isinstance(operand, nn.Layer)}
    parameters = {path: operand for path, operand in operands.items() if not isinstance(operand, nn.Layer)}
    steps = tuple(swapped(step, swap) for step in part.steps) if swap else part.steps
    return BoundStage(part.name, steps, layers, parameters, learnable(layers, parameters, fixed))


def _difference(old: BoundStage, new: BoundStage, known: Known, ids: set[int]) -> str:
    """A short description of what changed in a part; empty if nothing did."""
    paths = {layer: path for top, root in new.layers.items() for path, layer in _named(top, root)}
    for layer, path in paths.items():
        if layer not in known.layers:
            return f"{path} is {type(layer).__name__}"
    for layer, path in paths.items():
        if known.layers[layer] != _signature(layer):
            return f"{path} computes something different"
    if len(paths) < len(set(old.sublayers())) or set(old.weights) - set(new.weights):
        gone = set(old.weights) - set(new.weights)
        return f"{min(gone)} is gone" if gone else "a layer is gone"
    other = [key for key, weight in new.weights.items() if id(weight) not in ids]
    return f"{other[0]} is another parameter" if other else ""


def _named(top: str, layer: nn.Layer) -> Iterator[tuple[str, nn.Layer]]:
    return ((f"{top}.{path}" if path else top, sublayer) for path, sublayer in layer.named_sublayers(include_self=True))


def _signature(layer: nn.Layer) -> Any:
    """A layer's settings besides its weights: any change gives other features."""
    hooks = [id(hook) for group in (layer._forward_pre_hooks, layer._forward_post_hooks) for hook in group.values()]
    own = layer.__dict__.get("forward")
    plain: dict[str, Any] = {}
    if type(layer).__module__.startswith("paddle.nn"):
        plain = {key: _plain(value) for key, value in layer.__dict__.items() if key not in _PASSING}
    names = [name for name, sublayer in layer._sub_layers.items() if sublayer is not None]
    return type(layer).__name__, id(own) if own else None, hooks, plain, names


def _plain(value: Any) -> Any:
    """Keep numbers, text and sequences of them; None for the rest."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    return value if isinstance(value, (bool, int, float, str)) else None


def _keep_pooling(network: _Network) -> None:
    """Keep learned pooling, which came with the head, under its own attribute if the head was replaced."""
    layer = network.learned_pooling
    if layer is None or any(sublayer is layer for sublayer in network.sublayers()):
        return
    network.add_sublayer(_POOLING, layer)
    top = _head(network)
    layers = {_POOLING: layer, **top.layers}
    weights = learnable({_POOLING: layer}, {}, set()) | dict(top.weights)
    network.take_part(None, replace(top, layers=layers, weights=weights), {})
