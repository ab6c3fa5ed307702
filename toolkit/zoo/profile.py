"""Profile a network by stage: shapes, weights, multiply-accumulates, receptive fields and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import prod
from typing import Any

from toolkit.core.console import quietly
from toolkit.zoo.create import create_network
from toolkit.zoo.graph import Graph, Operation, trace
from toolkit.zoo.network import StagedNetwork
from toolkit.zoo.operations import KINDS, VIEWS, Kind, macs
from toolkit.zoo.receptive_field import IMAGE, Reach, everything
from toolkit.zoo.registry import get_spec

_FLOAT = 4  # bytes
_UNKNOWN = Kind(everything, "both")


@dataclass(frozen=True)
class StageProfile:
    """One stage, or the head, for one image.

    Attributes:
        name: Name of the stage; ``head`` for pooling and classifier.
        shape: Output shape: ``(C, H, W)`` or ``(D,)``.
        parameters: Number of trainable weights, without BatchNorm statistics.
        cumulated_parameters: The same, including all stages below.
        macs: Multiply-accumulates; see ``toolkit.zoo.operations.macs``.
        receptive_field: Height and width, in image pixels, of the area that one output value can see; None: the whole
            image. See ``toolkit.zoo.receptive_field``.
        activation_bytes: Memory of its output, float32.
        kept_bytes: Memory that training keeps for the backward pass if this stage learns, float32. The image itself and
            operations that run only in training (stochastic depth) are not counted.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    cumulated_parameters: int
    macs: int
    receptive_field: tuple[int, int] | None
    activation_bytes: int
    kept_bytes: int


@dataclass(frozen=True)
class NetworkProfile:
    """A network for one image.

    Attributes:
        name: Name of the network.
        image_size: Side of the image in pixels.
        in_channels: Channels of the image.
        stages: In forward order.
        head: Pooling and classifier.
        unknown: Unknown kinds of operations: they count no multiply-accumulates and see the whole image.
    """

    name: str
    image_size: int
    in_channels: int
    stages: tuple[StageProfile, ...]
    head: StageProfile
    unknown: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Weights of all stages and the head."""
        return self.head.cumulated_parameters

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all stages and the head."""
        return sum(part.macs for part in (*self.stages, self.head))

    @property
    def kept_bytes(self) -> int:
        """Memory of one image in training if every stage learns."""
        return sum(part.kept_bytes for part in (*self.stages, self.head))

    def to_json(self) -> dict[str, Any]:
        """Plain values, including totals."""
        totals = {"parameters": self.parameters, "macs": self.macs, "kept_bytes": self.kept_bytes}
        return {**asdict(self), "total": totals}


def profile_network(
    name: str, image_size: int | None = None, *, cut: int | str | None = None, in_channels: int | None = None
) -> NetworkProfile:
    """Profile a network of the zoo with random weights; nothing is downloaded.

    Args:
        name: Name of a row.
        image_size: Side of the square image in pixels; by default the network's native size.
        cut: Drop the stages above this one and attach a new head there, with as many outputs as the original.
        in_channels: Channels of the image; by default the network's own.

    Raises:
        NetworkError: An unknown network or stage, or an input that the network does not support.

    Example:
        >>> profile = profile_network("resnet18", 64)
        >>> profile.stages[-1].shape, profile.stages[-1].receptive_field
        ((512, 2, 2), (435, 435))
    """
    spec = get_spec(name)
    size = spec.input_size if image_size is None else image_size
    classes = None if cut is None else spec.classes
    with quietly():
        network = create_network(name, classes, cut=cut, image_size=size, in_channels=in_channels)
    chain = (*network._stages, network._top)
    graph = trace(chain, network.in_channels, size)
    counted = _Count(graph, len(chain))
    parts = _parts(network, graph, counted)
    return NetworkProfile(name, size, network.in_channels, parts[:-1], parts[-1], tuple(sorted(counted.unknown)))


def _parts(network: StagedNetwork, graph: Graph, counted: _Count) -> tuple[StageProfile, ...]:
    names = (*network.stage_names, "head")
    weights = [network.stage_parameters(index) for index in range(len(names) - 1)]
    parameters = [sum(prod(value.shape) for value in group.values()) for group in (*weights, network.head_parameters())]
    shapes = [graph.shapes[mark][1:] for mark in graph.marks]
    reaches = [counted.reach[mark] for mark in graph.marks]
    return tuple(
        StageProfile(
            name=name,
            shape=shapes[index],
            parameters=parameters[index],
            cumulated_parameters=total,
            macs=counted.macs[index],
            receptive_field=reaches[index].size,
            activation_bytes=prod(shapes[index]) * _FLOAT,
            kept_bytes=counted.kept[index],
        )
        for index, (name, total) in enumerate(zip(names, accumulate(parameters), strict=True))
    )


class _Count:
    """A single pass over a graph; operations up to a stage's output belong to that stage."""

    def __init__(self, graph: Graph, stages: int) -> None:
        self.macs, self.kept = [0] * stages, [0] * stages
        self.unknown: set[str] = set()
        self.reach: dict[str, Reach] = {graph.image: IMAGE}
        self._graph = graph
        self._owner = {graph.image: graph.image}
        self._held = {graph.image}
        stage = 0
        ends = _ends(graph)
        for index, operation in enumerate(graph.operations):
            while index > ends[stage]:
                stage += 1
            if any(name in self.reach for name in operation.inputs):
                self._count(operation, stage)

    def _count(self, operation: Operation, stage: int) -> None:
        kind = KINDS.get(operation.kind)
        if kind is None:
            self.unknown.add(operation.kind)
            kind = _UNKNOWN
        shapes = self._graph.shapes
        inputs = [(self.reach.get(name), shapes[name]) for name in operation.inputs]
        view = operation.kind in VIEWS
        for name in operation.outputs:
            self.reach[name] = kind.reach(operation.attributes, inputs, shapes[name])
            self._owner[name] = self._owner[operation.inputs[0]] if view else name
        self.macs[stage] += macs(operation, self._graph)
        self.kept[stage] += self._newly_kept(operation, kind)

    def _newly_kept(self, operation: Operation, kind: Kind) -> int:
        if kind.kept == "mask":
            return prod(self._graph.shapes[operation.outputs[0]])
        names: Sequence[str] = ()
        if kind.kept in ("inputs", "both"):
            names = [name for name in operation.inputs if name in self.reach]
        if kind.kept in ("output", "both"):
            names = [*names, *operation.outputs]
        owners = {self._owner[name] for name in names} - self._held
        self._held |= owners
        return sum(prod(self._graph.shapes[name]) for name in owners) * _FLOAT


def _ends(graph: Graph) -> list[int]:
    """Index of the operation that ends each stage."""
    written = {name: index for index, operation in enumerate(graph.operations) for name in operation.outputs}
    ends = list(accumulate((written.get(mark, 0) for mark in graph.marks), max))
    return [*ends[:-1], len(graph.operations)]
