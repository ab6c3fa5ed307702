"""PaddleClas's residual networks: ResNet and its vc and vd forms, ResNeXt, Res2Net, SE_ResNet, RegNet, RepVGG."""

from __future__ import annotations

from toolkit.zoo.clas_row import clas_row
from toolkit.zoo.spec import NetworkSpec, Stage, stage

_PLAIN_STEM = stage("stem", "conv", "pool2d_max")
_DEEP_STEM = stage("stem", "conv1_1", "conv1_2", "conv1_3", "pool2d_max")
_TOP = ("pool2d_avg", ":flatten", "out")


def _resnet(name: str, width: int, top1: float) -> NetworkSpec:
    stages, top = (stage("stem", "stem", "max_pool"), stage("blocks.*")), ("avg_pool", "flatten", "fc")
    return clas_row(name, stages, top, width, top1, folder="legendary_models/")


def _bottlenecks(name: str, top1: float, stem: Stage = _DEEP_STEM, width: int = 2048) -> NetworkSpec:
    """A network whose blocks are named bb_<group>_<block>."""
    groups = (stage(f"group{group}.*", f"bb_{group}_*") for group in range(4))
    return clas_row(name, (stem, *groups), _TOP, width, top1)


def _regnet(size: str, width: int, top1: float | None) -> NetworkSpec:
    groups = (stage(f"group{group}.*", f"s{group}_b*") for group in range(1, 5))
    return clas_row(f"RegNetX_{size}", (stage("conv"), *groups), _TOP, width, top1)


def _repvgg(size: str, width: int, top1: float | None) -> NetworkSpec:
    groups = (stage(f"stage{group}.*") for group in range(1, 5))
    return clas_row(f"RepVGG_{size}", (stage("stage0"), *groups), ("gap", ":flatten", "linear"), width, top1)


CLAS_RESNETS = (
    _resnet("ResNet18", 512, 0.7098),
    _resnet("ResNet34", 512, 0.7457),
    _resnet("ResNet50", 2048, 0.7650),
    _resnet("ResNet101", 2048, 0.7756),
    _resnet("ResNet152", 2048, 0.7826),
    _resnet("ResNet18_vd", 512, 0.7226),
    _resnet("ResNet34_vd", 512, 0.7598),
    _resnet("ResNet50_vd", 2048, 0.7912),
    _resnet("ResNet101_vd", 2048, 0.8017),
    _resnet("ResNet152_vd", 2048, 0.8059),
    _resnet("ResNet200_vd", 2048, 0.8093),
    _bottlenecks("ResNet50_vc", 0.7835),
    _bottlenecks("ResNeXt50_32x4d", 0.7775, _PLAIN_STEM),
    _bottlenecks("ResNeXt50_64x4d", 0.7843, _PLAIN_STEM),
    _bottlenecks("ResNeXt101_32x4d", 0.7865, _PLAIN_STEM),
    _bottlenecks("ResNeXt101_64x4d", 0.7835, _PLAIN_STEM),
    _bottlenecks("ResNeXt152_32x4d", 0.7898, _PLAIN_STEM),
    _bottlenecks("ResNeXt152_64x4d", 0.7951, _PLAIN_STEM),
    _bottlenecks("ResNeXt50_vd_32x4d", 0.7956),
    _bottlenecks("ResNeXt50_vd_64x4d", 0.8012),
    _bottlenecks("ResNeXt101_vd_32x4d", 0.8033),
    _bottlenecks("ResNeXt101_vd_64x4d", 0.8078),
    _bottlenecks("ResNeXt152_vd_32x4d", 0.8072),
    _bottlenecks("ResNeXt152_vd_64x4d", 0.8108),
    _bottlenecks("Res2Net50_26w_4s", 0.7933, stage("stem", "conv1", "pool2d_max")),
    _bottlenecks("Res2Net50_14w_8s", 0.7946, stage("stem", "conv1", "pool2d_max")),
    _bottlenecks("Res2Net50_vd_26w_4s", 0.7975),
    _bottlenecks("Res2Net101_vd_26w_4s", 0.8064),
    _bottlenecks("Res2Net200_vd_26w_4s", 0.8121),
    _bottlenecks("SE_ResNet18_vd", 0.7333, width=512),
    _bottlenecks("SE_ResNet34_vd", 0.7651, width=512),
    _bottlenecks("SE_ResNet50_vd", 0.7952),
    _bottlenecks("SE_ResNeXt50_32x4d", 0.7844, _PLAIN_STEM),
    _bottlenecks("SE_ResNeXt101_32x4d", 0.7939, _PLAIN_STEM),
    _bottlenecks("SE_ResNeXt50_vd_32x4d", 0.8024),
    _bottlenecks("SENet154_vd", 0.8140),
    _regnet("200MF", 368, None),
    _regnet("400MF", 384, None),
    _regnet("600MF", 528, None),
    _regnet("800MF", 672, None),
    _regnet("1600MF", 912, None),
    _regnet("3200MF", 1008, None),
    _regnet("4GF", 1360, 0.785),
    _repvgg("A0", 1280, 0.7131),
    _repvgg("A1", 1280, 0.7380),
    _repvgg("A2", 1408, 0.7571),
    _repvgg("B0", 1280, 0.7450),
    _repvgg("B1", 2048, 0.7773),
    _repvgg("B1g2", 2048, 0.7732),
    _repvgg("B1g4", 2048, 0.7675),
    _repvgg("B2", 2560, 0.7813),
    _repvgg("B2g4", 2560, 0.7881),
    _repvgg("B3", 2560, None),
    _repvgg("B3g4", 2560, 0.7965),
)
