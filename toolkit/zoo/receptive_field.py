"""Receptive fields: the part of the image that one value of a tensor can see.

The size r and the step j of a field grow with each layer of kernel k, stride s and dilation d::

    r' = r + (k - 1) * d * j        j' = j * s

(Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019, equations 2 and
following.) Both ends of the field are tracked here, so that where branches meet, the field is their union (there,
"arbitrary computation graphs"): the maximum over all paths, or more if their centres differ. Padding shifts a field but
does not shrink it, so fields may be larger than the image. Operations that mix all positions (dense layers on a map,
attention, global pooling and hence squeeze-and-excitation) see the whole image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Span:
    """Along one image axis: the first and last pixel seen by value 0, and the step to the next value."""

    low: int = 0
    high: int = 0
    step: int = 1

    def slid(self, kernel: int, stride: int, dilation: int, padding: int) -> Span:
        """The span after a sliding window of ``kernel`` values."""
        low = self.low - padding * self.step
        return Span(low, self.high + ((kernel - 1) * dilation - padding) * self.step, self.step * stride)

    def union(self, other: Span) -> Span:
        """The union of both spans."""
        return Span(min(self.low, other.low), max(self.high, other.high), self.step)


@dataclass(frozen=True)
class Reach:
    """The part of the image that a tensor's values see.

    Attributes:
        spans: Along height and width; None: every value sees the whole image.
        places: Axes of the tensor that index positions in the image.
    """

    spans: tuple[Span, Span] | None
    places: frozenset[int]

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width in pixels, or None for the whole image."""
        if self.spans is None:
            return None
        rows, columns = self.spans
        return rows.high - rows.low + 1, columns.high - columns.low + 1


IMAGE = Reach((Span(), Span()), frozenset({2, 3}))
Inputs = Sequence[tuple[Reach | None, Shape]]
"""For each input: its reach (None: independent of the image) and its shape."""
Rule = Callable[[Mapping[str, Any], Inputs, Shape], Reach]
"""(attributes, inputs, output shape) -> the output's reach; at least one input depends on the image."""


def everything(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """The operation mixes all positions, or may do so."""
    return Reach(None, frozenset(range(1, len(out))))


def pointwise(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Each value depends on the values at its own position, with the usual broadcasting."""
    union: Reach | None = None
    for reach, shape in inputs:
        if reach is None:
            continue
        shift = len(out) - len(shape)
        if reach.spans and any(shape[axis] == 1 < out[axis + shift] for axis in reach.places):
            reach = replace(reach, spans=None)
        moved = replace(reach, places=frozenset(axis + shift for axis in reach.places))
        union = moved if union is None else _union(union, moved)
    return union or everything(attributes, inputs, out)


def _union(first: Reach, second: Reach) -> Reach:
    places = first.places | second.places
    if first.spans is None or second.spans is None:
        return Reach(None, places)
    pairs = list(zip(first.spans, second.spans, strict=True))
    if any(a.step != b.step for a, b in pairs):
        return Reach(None, places)
    return Reach((pairs[0][0].union(pairs[0][1]), pairs[1][0].union(pairs[1][1])), places)


def _first(inputs: Inputs) -> tuple[Reach, Shape]:
    """The first input that depends on the image."""
    return next((reach, shape) for reach, shape in inputs if reach is not None)


def along_axes(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Softmax, normalisation and reductions: the whole image if a mixed axis is a position."""
    reach, shape = _first(inputs)
    mixed = _mixed_axes(attributes, len(shape))
    if mixed & reach.places:
        return everything(attributes, inputs, out)
    gone = sorted(mixed) if len(out) < len(shape) else []
    return replace(reach, places=_without(reach.places, gone))


def _mixed_axes(attributes: Mapping[str, Any], rank: int) -> set[int]:
    if "begin_norm_axis" in attributes:
        return set(range(attributes["begin_norm_axis"], rank))
    axes = attributes.get("axis", [])
    axes = [axes] if isinstance(axes, int) else list(axes)
    return {axis % rank for axis in axes} if axes and not attributes.get("reduce_all") else set(range(rank))


def _without(places: frozenset[int], gone: Sequence[int]) -> frozenset[int]:
    return frozenset(axis - sum(lost < axis for lost in gone) for axis in places)


def cut(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Slices and splits along axes other than positions."""
    reach, shape = _first(inputs)
    gone = sorted(attributes.get("decrease_axis") or ())
    kept = [axis for axis in range(len(shape)) if axis not in gone]
    if len(kept) != len(out) or reach.places & set(gone):
        return everything(attributes, inputs, out)
    if any(shape[axis] != size for axis, size in zip(kept, out, strict=True) if axis in reach.places):
        return everything(attributes, inputs, out)
    return replace(reach, places=_without(reach.places, gone))


def reshaped(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Reshape, flatten, squeeze: merged or split axes stay positions if one of them was."""
    reach, shape = _first(inputs)
    places: set[int] = set()
    i = j = 0
    while i < len(shape) and j < len(out):
        before, after, here, there = shape[i], out[j], [i], [j]
        while before != after:
            if before < after:
                i += 1
                before *= shape[i]
                here.append(i)
            else:
                j += 1
                after *= out[j]
                there.append(j)
        if reach.places.intersection(here):
            places.update(axis for axis in there if out[axis] > 1 or len(there) == 1)
        i, j = i + 1, j + 1
    return replace(reach, places=frozenset(places))


def transposed(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Permuted axes."""
    reach, _ = _first(inputs)
    return replace(reach, places=frozenset(j for j, i in enumerate(attributes["perm"]) if i in reach.places))


def product(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """A matrix product: dense layers act at each position, unless the summed axis is one; attention mixes all."""
    dependent = [index for index, (reach, _) in enumerate(inputs[:2]) if reach is not None]
    reach, shape = _first(inputs)
    if len(dependent) > 1 or len(shape) < 2 or len(shape) != len(out):
        return everything(attributes, inputs, out)
    turned = bool(attributes.get(("transpose_x", "transpose_y")[dependent[0]]))
    summed = len(shape) - (2 if (dependent == [0]) == turned else 1)
    return everything(attributes, inputs, out) if summed in reach.places else reach


def sliding(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Convolution and pooling."""
    reach, shape = _first(inputs)
    sides = (1, 2) if attributes.get("data_format") == "NHWC" else (2, 3)
    if reach.spans is None or len(shape) != 4 or not reach.places <= set(sides):
        return everything(attributes, inputs, out)
    spans = []
    for index, (span, axis) in enumerate(zip(reach.spans, sides, strict=True)):
        window = _window(attributes, inputs, index, shape[axis], out[axis])
        if window is None:
            return everything(attributes, inputs, out)
        spans.append(span.slid(*window))
    return Reach((spans[0], spans[1]), frozenset(sides))


def _window(
    attributes: Mapping[str, Any], inputs: Inputs, index: int, size: int, out: int
) -> tuple[int, int, int, int] | None:
    """Kernel, stride, dilation and padding before the first value; None if one value sees all."""
    if attributes.get("global_pooling") or (attributes.get("adaptive") and (out == 1 or size % out)):
        return None
    if attributes.get("adaptive"):
        return size // out, size // out, 1, 0
    kernel = int(attributes["ksize"][index] if "ksize" in attributes else inputs[1][1][2 + index])
    stride = int(attributes["strides"][index])
    dilation = int(attributes.get("dilations", (1, 1))[index])
    paddings = attributes["paddings"]
    padding = int(paddings[index] if len(paddings) == 2 else paddings[2 * index])
    if attributes.get("padding_algorithm") == "SAME":
        padding = max((out - 1) * stride + (kernel - 1) * dilation + 1 - size, 0) // 2
    elif attributes.get("padding_algorithm") == "VALID":
        padding = 0
    return kernel, stride, dilation, padding


def padded(attributes: Mapping[str, Any], inputs: Inputs, out: Shape) -> Reach:
    """Padding, which shifts every value of a map [N, C, D, H, W] (``pad3d``) or along any axes (``pad``)."""
    reach, shape = _first(inputs)
    sides, paddings = sorted(reach.places), [int(value) for value in attributes["paddings"]]
    if reach.spans is None or len(sides) != 2:
        return everything(attributes, inputs, out)
    if len(paddings) == 2 * len(shape):  # before and after, axis by axis
        top, left = paddings[2 * sides[0]], paddings[2 * sides[1]]
    elif sides == [3, 4]:  # left, right, top, bottom, front, back
        left, top = paddings[0], paddings[2]
    else:
        return everything(attributes, inputs, out)
    rows, columns = reach.spans
    return replace(reach, spans=(rows.slid(1, 1, 1, top), columns.slid(1, 1, 1, left)))
