"""A network as a list of operations with shapes, as Paddle's tracing sees it, including functions and branches.

Nothing is computed: Paddle turns the network into a static program for one image, and the program is read. Paddle 3
uses another program format (PIR) than Paddle 2; both become a ``Graph`` here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import paddle
from paddle import Tensor, nn
from paddle.static import InputSpec

from toolkit.core.home import writable_home
from toolkit.zoo.execution import run
from toolkit.zoo.forward_steps import BoundStage

_IMAGE = "image"
_ALIASES: Mapping[str, str] = {
    "conv2d_fusion": "conv2d",
    "elementwise_add": "add",
    "elementwise_div": "divide",
    "elementwise_mul": "multiply",
    "elementwise_pow": "pow",
    "elementwise_sub": "subtract",
    "expand_v2": "expand",
    "flatten_contiguous_range": "flatten",
    "hard_sigmoid": "hardsigmoid",
    "hard_swish": "hardswish",
    "matmul_v2": "matmul",
    "reduce_max": "max",
    "reduce_mean": "mean",
    "reduce_sum": "sum",
    "reshape2": "reshape",
    "squeeze2": "squeeze",
    "transpose2": "transpose",
    "unsqueeze2": "unsqueeze",
}
"""Paddle 2's name of an operation -> Paddle 3's."""
_RENAMED: Mapping[tuple[str, str], str] = {
    ("matmul", "trans_x"): "transpose_x",
    ("matmul", "trans_y"): "transpose_y",
    ("transpose", "axis"): "perm",
    ("max", "dim"): "axis",
    ("mean", "dim"): "axis",
    ("sum", "dim"): "axis",
}
"""(operation, Paddle 2's name of an attribute) -> Paddle 3's."""
_OPERANDS: Mapping[str, str] = {"pool2d": "ksize", "max": "axis", "mean": "axis", "sum": "axis", "pad3d": "paddings"}
"""Attributes that Paddle 3 passes as constant inputs."""
_INPUTS = ("Input", "X", "Y", "Filter")
_OUTPUTS = ("Output", "Out", "Y")


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: Paddle 3's name of the operation (``conv2d``, ``add``).
        inputs: Names of the tensors it reads, including weights.
        outputs: Names of the tensors it writes (without statistics and masks).
        attributes: Strides, axes and so on, by Paddle 3's names.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A network for one image.

    Attributes:
        operations: In execution order.
        shapes: Shape of each tensor, by name, including the batch axis (1).
        image: Name of the input.
        marks: Name of each stage's output tensor; the last one is the network's output.
    """

    operations: tuple[Operation, ...]
    shapes: Mapping[str, tuple[int, ...]]
    image: str
    marks: tuple[str, ...]


class _Marked(nn.Layer):
    """Parts of a network in sequence; returns the output of each."""

    def __init__(self, parts: Sequence[BoundStage]) -> None:
        super().__init__()
        self.parts = parts
        self.layers = nn.LayerList([step for part in parts for step in part.steps if isinstance(step, nn.Layer)])

    def forward(self, image: Tensor) -> list[Tensor]:
        marks = []
        for part in self.parts:
            image = run([part], image)
            marks.append(image)
        return marks


def trace(parts: Sequence[BoundStage], channels: int, image_size: int) -> Graph:
    """Trace one image through the parts of a network in evaluation mode.

    Paddle's tracing modifies the layers: pass a network that is not used afterwards.

    Args:
        parts: Stages and top.
        channels: Channels of the image.
        image_size: Side of the image, pixels.
    """
    spec = InputSpec([1, channels, image_size, image_size], "float32", _IMAGE)
    with writable_home(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        marked = _Marked(parts)
        marked.eval()
        traced = paddle.jit.to_static(marked, input_spec=[spec], full_graph=True)
        program = traced.forward.concrete_program
    block = program.main_program.global_block()
    reader = _read_pir if hasattr(program.main_program, "num_ops") else _read_old
    return reader(block, paddle.utils.flatten(program.outputs))


def _read_pir(block: Any, outputs: Sequence[Any]) -> Graph:
    """Paddle 3's program: operations read and write values; lists of values are values as well."""
    operations: list[Operation] = []
    shapes: dict[str, tuple[int, ...]] = {}
    constants: dict[str, Any] = {}
    lists: dict[str, tuple[str, ...]] = {}
    image = ""
    for op in block.ops:
        kind = op.name().rpartition(".")[2].rstrip("_")
        attributes = dict(op.attrs())
        inputs = [_name(value) for value in op.operands_source() if value.initialized()]
        results = op.results()
        if op.name() == "builtin.combine":
            lists[_name(results[0])] = tuple(inputs)
            continue
        for value in results:
            shapes[_name(value)] = _pir_shape(value) or shapes.get(inputs[0] if inputs else "", ())
        if kind in ("full", "full_int_array"):
            constants[_name(results[0])] = attributes["value"]
            continue
        if kind == "data" and attributes.get("name") == _IMAGE:
            image = _name(results[0])
        constant = next((constants[name] for name in inputs if name in constants), None)
        if kind in _OPERANDS and constant is not None:
            attributes[_OPERANDS[kind]] = constant
        read = [part for name in inputs if name not in constants for part in lists.get(name, (name,))]
        written = [_name(value) for value in (results if op.name() == "builtin.split" else results[:1])]
        kind = "part" if op.name() == "builtin.split" else kind
        operations.append(Operation(kind, tuple(read), tuple(written), attributes))
    return Graph(tuple(operations), shapes, image, tuple(_name(value) for value in outputs))


def _name(value: Any) -> str:
    return str(value.hash())


def _pir_shape(value: Any) -> tuple[int, ...] | None:
    """Shape of a value; None for a list of tensors."""
    try:
        return tuple(value.shape)
    except ValueError:
        return None


def _read_old(block: Any, outputs: Sequence[Any]) -> Graph:
    """Paddle 2's program: operations read and write variables of a block, by name."""
    operations = []
    for op in block.ops:
        kind = _ALIASES.get(op.type, op.type)
        attributes = {_RENAMED.get((kind, name), name): op.attr(name) for name in op.attr_names}
        inputs = tuple(_ordered(op.input_names, op.input, _INPUTS))
        names = [name for name in op.output_names if name in _OUTPUTS] or list(op.output_names)
        outs = tuple(_ordered(names, op.output, _OUTPUTS))
        operations.append(Operation("part" if kind == "split" else kind, inputs, outs, attributes))
    shapes = {name: tuple(variable.shape) for name, variable in block.vars.items() if hasattr(variable, "shape")}
    return Graph(tuple(operations), shapes, _IMAGE, tuple(variable.name for variable in outputs))


def _ordered(names: Sequence[str], get: Any, first: Sequence[str]) -> Iterator[str]:
    """Tensors by slot name, the important ones first."""
    for slot in sorted(names, key=lambda name: (first.index(name) if name in first else len(first), name)):
        yield from get(slot)
