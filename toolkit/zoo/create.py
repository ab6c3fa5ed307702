"""Create networks by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from paddle import nn

from toolkit.config import HeadConfig
from toolkit.core.console import info
from toolkit.core.errors import NetworkError
from toolkit.core.stages import head_stage_indices, stage_count
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo.auxiliary import bind_auxiliary
from toolkit.zoo.execution import output_shape
from toolkit.zoo.forward_steps import BoundStage, bind_stage, expand_stages
from toolkit.zoo.head import build_head
from toolkit.zoo.input_layer import adapt_input
from toolkit.zoo.load import load_weights
from toolkit.zoo.network import StagedNetwork
from toolkit.zoo.pooling import Pooling, build_pooling, build_tapped_pooling
from toolkit.zoo.registry import get_spec
from toolkit.zoo.resolve import check_weights, resolve_weights
from toolkit.zoo.sizes import check_image_size
from toolkit.zoo.spec import NetworkSpec, Stage
from toolkit.zoo.upstream import build_original, known_keys


@dataclass(frozen=True)
class _Request:
    """The arguments of ``create_network``, except the network."""

    num_classes: int | None
    head: HeadConfig
    cut: int | str | None
    image_size: int | None
    in_channels: int | None
    pooling: str
    task: TaskName


def create_network(
    name: str,
    num_classes: int | None = None,
    *,
    pretrained: bool | str | Path = False,
    head: HeadConfig | None = None,
    cut: int | str | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
    pooling: Literal["avg", "max", "gem", "none"] = "avg",
    task: TaskName = "classification",
) -> StagedNetwork:
    """Build a network of the zoo, with its original classifier or a new head for your classes.

    Args:
        name: Name of a row; see ``list_networks``.
        num_classes: Outputs of a new head with random weights: classes, labels or targets. None: the network with its
            own classifier.
        pretrained: True for Paddle's ImageNet weights, False for random ones, a local file, or a URL.
        head: Configuration of the new head; by default one dense layer that reads the last stage.
        cut: Drop the stages above this one (a number or a name), and attach the new head there.
        image_size: Side of the square input in pixels, checked against the sizes that the network supports.
        in_channels: Channels of the images; by default the network's own. The first convolution is adapted, including
            pretrained weights: see ``adapt_filters``.
        pooling: From the last stage's map to the features that a new head reads: ``avg``, ``max``, ``gem`` (generalised
            mean, see ``GeMPool``) or ``none`` (all positions; needs ``image_size``).
        task: Task, which defines the outputs. For ``regression`` see ``StagedNetwork.set_target_statistics``.

    Returns:
        The network, in training mode with nothing frozen.

    Raises:
        NetworkError: An unknown network or stage, an image size or number of channels that the network does not
            support, or incompatible arguments.
        WeightsError: Weights that cannot be found, read or loaded.

    Example:
        >>> network = create_network("mobilenet_v2", num_classes=2)
        >>> network.freeze("features.13")
        >>> sorted(network.head_parameters())
        ['classifier.1.bias', 'classifier.1.weight']
    """
    spec = get_spec(name)
    if image_size is not None:
        check_image_size(spec, image_size)
    new_top = cut is not None or head is not None or pooling != "avg" or TASKS[task].predicts_numbers
    _check_classes(name, num_classes, new_top=new_top)
    check_weights(spec, pretrained)
    request = _Request(num_classes, head or HeadConfig(), cut, image_size, in_channels, pooling, task)
    network = _assemble(spec, request)
    weights = resolve_weights(spec, pretrained)
    if weights is not None:
        load_weights(network, weights, with_head=num_classes is None)
    return network


def _check_classes(name: str, num_classes: int | None, *, new_top: bool) -> None:
    if num_classes is None and new_top:
        raise NetworkError(
            f"{name}: a cut, or another head, pooling or task, needs the number of classes", hint="give num_classes"
        )
    if num_classes is not None and num_classes < 1:
        raise NetworkError(f"{name}: num_classes is {num_classes}, expected 1 or more")


def _assemble(spec: NetworkSpec, request: _Request) -> StagedNetwork:
    original = build_original(spec)
    keys = known_keys(original)
    rows = expand_stages(original, spec.stages)
    channels, input_weight = spec.in_channels, None
    if request.in_channels is not None:
        channels = request.in_channels
        rows, input_weight = adapt_input(original, spec, rows, channels)
    stages = [bind_stage(original, row.name, row.steps) for row in _kept(spec, rows, request.cut)]
    size = request.image_size or spec.input_size
    wanted, names = request.head.stages or "last", [stage.name for stage in stages]
    taps = head_stage_indices(wanted, names, spec.name, NetworkError)
    if taps:
        features, image = (
            bind_stage(original, "features", spec.features),
            (channels, request.image_size or spec.min_size),
        )
        pooling = build_tapped_pooling(spec.name, request.pooling, taps, stages, features, image)
    else:
        pooling = _pooling(original, spec, stages, channels, request, whole=len(stages) == len(rows))
    return StagedNetwork(
        spec,
        stages,
        _top(original, spec, pooling, request),
        request.num_classes or spec.classes,
        pooling,
        in_channels=channels,
        input_weight=input_weight,
        auxiliary=bind_auxiliary(original, spec, names, size, request.num_classes, request.task),
        original_keys=keys,
    )


def _kept(spec: NetworkSpec, rows: Sequence[Stage], cut: int | str | None) -> Sequence[Stage]:
    kept = len(rows) if cut is None else stage_count(cut, [row.name for row in rows], spec.name, NetworkError)
    if kept == 0:
        raise NetworkError(f"{spec.name}: a cut must keep at least one stage, not {cut!r}")
    return rows[:kept]


def _pooling(
    original: nn.Layer,
    spec: NetworkSpec,
    stages: Sequence[BoundStage],
    channels: int,
    request: _Request,
    *,
    whole: bool,
) -> Pooling:
    features = bind_stage(original, "features", spec.features)
    if request.pooling == "avg" and whole:  # known without running the network
        return build_pooling("avg", (spec.width,), spec.input_size).behind(features.steps)
    size = request.image_size or (spec.input_size if request.pooling == "none" else spec.min_size)
    shape = output_shape([*stages, features], channels, size)
    if len(shape) != 3 and request.pooling != "avg":
        info(f"{spec.name}: {stages[-1].name} outputs no map, so pooling {request.pooling} has no effect")
    elif request.pooling == "none" and request.image_size is None:
        raise NetworkError(f"{spec.name}: pooling none needs the size of the images", hint="give image_size")
    return build_pooling(request.pooling, shape, size).behind(features.steps)


def _top(original: nn.Layer, spec: NetworkSpec, pooling: Pooling, request: _Request) -> BoundStage:
    if request.num_classes is None:
        return bind_stage(original, "head", spec.top)
    head = build_head(request.head, pooling.pieces or (pooling.width,), request.num_classes, request.task)
    if pooling.layer is not None:
        head.add_sublayer("pooling", pooling.layer)  # its weights are saved and re-created with the head's
    top = bind_stage(original, "head", (*spec.features, spec.head), {spec.head: head})
    return replace(top, steps=(*pooling.steps, head))
