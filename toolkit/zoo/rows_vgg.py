"""VGG, plain and with BatchNorm (``_bn``): a stage consists of the convolutions up to a pool.

Top-1: the table of PaddlePaddle/hapi (image_classification/README).
"""

from __future__ import annotations

from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, Stage, stage

_DENSE = (
    stage("fc6", "avgpool", ":flatten", "classifier.0", "classifier.1", "classifier.2"),
    stage("fc7", "classifier.3", "classifier.4", "classifier.5"),
)


def _conv_stages(convs: tuple[int, ...], layers_per_conv: int) -> tuple[Stage, ...]:
    stages, first = [], 0
    for index, count in enumerate(convs, 1):
        last = first + count * layers_per_conv  # the pool
        stages.append(stage(f"conv{index}", *(f"features.{i}" for i in range(first, last + 1))))
        first = last + 1
    return tuple(stages)


def _row(
    name: str,
    convs: tuple[int, ...],
    weights: PretrainedWeights | None = None,
    top1: float | None = None,
    *,
    bn: bool = False,
) -> NetworkSpec:
    return NetworkSpec(
        name=f"{name}_bn" if bn else name,
        factory=f"paddle.vision.models.{name}",
        options={"batch_norm": bn},
        stages=_conv_stages(convs, layers_per_conv=3 if bn else 2) + _DENSE,
        head="classifier.6",
        top=("classifier.6",),
        width=4096,
        weights=weights,
        top1=top1,
    )


_HAPI = "https://paddle-hapi.bj.bcebos.com/models"
_A, _B, _D, _E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)

VGGS = (
    _row("vgg11", _A),
    _row("vgg13", _B),
    _row("vgg16", _D, PretrainedWeights(f"{_HAPI}/vgg16.pdparams", "89bbffc0f87d260be9b8cdc169c991c4"), 0.7192),
    _row("vgg19", _E, PretrainedWeights(f"{_HAPI}/vgg19.pdparams", "23b18bb13d8894f60f54e642be79a0dd")),
    _row("vgg11", _A, bn=True),
    _row("vgg13", _B, bn=True),
    _row("vgg16", _D, bn=True),
    _row("vgg19", _E, bn=True),
)
