"""Properties of each kind of operation: receptive field, cost, and what training keeps for the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from toolkit.zoo.graph import Graph, Operation
from toolkit.zoo.receptive_field import (
    Rule,
    along_axes,
    cut,
    everything,
    padded,
    pointwise,
    product,
    reshaped,
    sliding,
    transposed,
)

Kept = Literal["nothing", "inputs", "output", "both", "mask"]


@dataclass(frozen=True)
class Kind:
    """One kind of operation.

    Attributes:
        reach: The rule for its receptive field.
        kept: What its backward pass needs: its inputs, its output, both, a mask of one byte per value, or nothing
            (source: ``paddle/phi/ops/yaml/backward.yaml``; a test checks it against the memory that Paddle uses).
    """

    reach: Rule
    kept: Kept = "nothing"


def _all(names: str, reach: Rule, kept: Kept = "nothing") -> dict[str, Kind]:
    return dict.fromkeys(names.split(), Kind(reach, kept))


KINDS: Mapping[str, Kind] = {
    **_all("conv2d depthwise_conv2d", sliding, "inputs"),
    **_all("pool2d", sliding, "both"),
    **_all("matmul", product, "inputs"),
    **_all("bmm conv2d_transpose", everything, "inputs"),
    **_all("batch_norm gelu hardswish leaky_relu swish clip pow", pointwise, "inputs"),
    **_all("relu relu6 sigmoid hardsigmoid tanh sqrt", pointwise, "output"),
    **_all("multiply", pointwise, "inputs"),
    **_all("silu divide", pointwise, "both"),
    **_all("dropout", pointwise, "mask"),
    **_all("add subtract scale concat expand cast assign split equal not_equal where", pointwise),
    **_all("layer_norm", along_axes, "inputs"),
    **_all("softmax", along_axes, "output"),
    **_all("mean sum", along_axes),
    **_all("max", along_axes, "both"),
    **_all("part slice split_with_num", cut),
    **_all("flatten reshape squeeze unsqueeze", reshaped),
    **_all("transpose", transposed),
    **_all("pad pad3d", padded),
    **_all("group_norm instance_norm", everything, "inputs"),
    **_all("bilinear_interp gather index_select nearest_interp roll set_value stack strided_slice unfold", everything),
}
VIEWS = frozenset(("flatten", "reshape", "squeeze", "unsqueeze"))
"""Operations whose output shares their input's memory."""


def macs(operation: Operation, graph: Graph) -> int:
    """Multiply-accumulates of one operation on one image.

    Counted as in the papers on these networks: a convolution costs, per output value, one multiply-accumulate for each
    weight of a filter, ``C_in / groups * k_h * k_w``; a matrix product costs one per output value and term of its sum
    (dense layers, and attention, which has no weights there). As in the papers, biases, normalisation, activations and
    pooling are not counted.

    ``paddle.flops`` is not used. It counts layers, not operations, and so misses the products of attention (16.8
    instead of 17.6 GMAC for ViT-B/16); to the rest it adds two for each BatchNorm value and the cost of pooling and
    biases (0.314 instead of 0.301 GMAC for MobileNetV2).
    """
    shapes = graph.shapes
    if operation.kind in ("conv2d", "depthwise_conv2d"):
        return prod(shapes[operation.outputs[0]]) * prod(shapes[operation.inputs[1]][1:])
    if operation.kind == "conv2d_transpose":
        return prod(shapes[operation.inputs[0]]) * prod(shapes[operation.inputs[1]][1:])
    if operation.kind in ("matmul", "bmm"):
        left = shapes[operation.inputs[0]]
        summed = left[-2] if operation.attributes.get("transpose_x") and len(left) > 1 else left[-1]
        return prod(shapes[operation.outputs[0]]) * summed
    return 0
