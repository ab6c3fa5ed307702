"""From a name to a network."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import paddle
from paddle import nn

from toolkit.config import HeadConfig
from toolkit.errors import NetworkError
from toolkit.zoo.chain import evaluating
from toolkit.zoo.fit import load_weights
from toolkit.zoo.head import build_head
from toolkit.zoo.network import StagedNetwork, check_image_size
from toolkit.zoo.resolve import resolve_weights
from toolkit.zoo.spec import NetworkSpec
from toolkit.zoo.steps import BoundStage, bind_stage, expand_stages
from toolkit.zoo.table import get_spec

__all__ = ["create_network"]


def create_network(
    name: str,
    num_classes: int | None = None,
    *,
    pretrained: bool | str | Path = False,
    head: HeadConfig | None = None,
    cut: int | str | None = None,
    image_size: int | None = None,
) -> StagedNetwork:
    """Build a network of the zoo, for its own classes or with a new head for yours.

    Args:
        name: Name of a row; see ``list_networks``.
        num_classes: Classes of a new head with random weights. None: the network with its own classifier.
        pretrained: True for Paddle's ImageNet weights, False for random ones, a local file, or a URL.
        head: What the new head is made of; by default one dense layer.
        cut: Leave out the stages above this one (a number or a name), and put the new head there.
        image_size: Side of the square input in pixels, checked against what the network can take.

    Returns:
        The network, in training mode with nothing frozen.

    Raises:
        NetworkError: An unknown network or stage, or an image size that it cannot take.
        WeightsError: Weights that cannot be found, read or fitted.

    Example:
        >>> network = create_network("mobilenet_v2", num_classes=2)
        >>> network.freeze("features.13")
        >>> sorted(network.head_parameters())
        ['classifier.1.bias', 'classifier.1.weight']
    """
    spec = get_spec(name)
    if image_size is not None:
        check_image_size(spec, image_size)
    _check_classes(name, num_classes, new_top=cut is not None or head is not None)
    network = _assemble(spec, num_classes, head or HeadConfig(), cut)
    weights = resolve_weights(spec, pretrained)
    if weights is not None:
        load_weights(network, weights, with_head=num_classes is None)
    return network


def _check_classes(name: str, num_classes: int | None, *, new_top: bool) -> None:
    if num_classes is None and new_top:
        raise NetworkError(f"{name}: a cut or another head needs the number of classes", hint="give num_classes")
    if num_classes is not None and num_classes < 1:
        raise NetworkError(f"{name}: num_classes is {num_classes}, expected 1 or more")


def _assemble(spec: NetworkSpec, num_classes: int | None, head: HeadConfig, cut: int | str | None) -> StagedNetwork:
    original = _build_original(spec)
    stages = [bind_stage(original, stage.name, stage.steps) for stage in expand_stages(original, spec.stages)]
    keys = frozenset(original.state_dict())
    if num_classes is None:
        top = bind_stage(original, "head", spec.top)
        return _finished(StagedNetwork(spec, stages, top, spec.classes), keys)
    width = spec.width
    if cut is not None:
        kept = StagedNetwork(spec, stages, bind_stage(original, "head", spec.top), spec.classes).resolve(cut)
        if kept == 0:
            raise NetworkError(f"{spec.name}: a cut must keep one stage at least, not {cut!r}")
        if kept < len(stages):
            stages = stages[:kept]
            width = _pooled_width(spec, stages)
    new = build_head(head, width, num_classes)
    top = bind_stage(original, "head", (":pool", spec.head), {spec.head: new})
    return _finished(StagedNetwork(spec, stages, top, num_classes), keys)


def _finished(network: StagedNetwork, original_keys: frozenset[str]) -> StagedNetwork:
    network.left_out = original_keys - frozenset(network.state_dict())
    return network


def _build_original(spec: NetworkSpec) -> nn.Layer:
    module, _, attribute = spec.factory.rpartition(".")
    network: nn.Layer = getattr(import_module(module), attribute)(**spec.options)
    return network


def _pooled_width(spec: NetworkSpec, stages: Sequence[BoundStage]) -> int:
    """Number of features after the last of ``stages``: channels, or the width of a dense layer."""
    x = paddle.zeros([1, spec.in_channels, spec.input_size, spec.input_size])
    trunk = nn.LayerList([layer for stage in stages for layer in stage.layers.values()])
    with evaluating(trunk), paddle.no_grad():
        for stage in stages:
            for step in stage.steps:
                x = step(x)
    return int(x.shape[1])
