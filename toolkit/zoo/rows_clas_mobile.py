"""PaddleClas's networks for CPUs and phones: PP-LCNet, MobileNet, ShuffleNet, GhostNet, ESNet, StarNet."""

from __future__ import annotations

from toolkit.zoo.clas_row import clas_row
from toolkit.zoo.spec import NetworkSpec, Stage, stage

_LEGENDARY = "legendary_models/"
_LAST_CONV_TOP = ("dropout", "flatten", "fc")


def _lcnet(scale: str, top1: float) -> NetworkSpec:
    groups = (stage(f"blocks{group}.*") for group in range(2, 7))
    stages = (stage("conv1"), *groups, stage("last_conv", "avg_pool", "last_conv", "act"))
    return clas_row(f"PPLCNet_{scale}", stages, _LAST_CONV_TOP, 1280, top1, folder=_LEGENDARY)


def _lcnet_v2(size: str, top1: float | None) -> NetworkSpec:
    groups = (stage(f"stages.{group}.*") for group in range(4))
    stages = (stage("stem.*"), *groups, stage("last_conv", "avg_pool", "last_conv", "act"))
    return clas_row(f"PPLCNetV2_{size}", stages, _LAST_CONV_TOP, 1280, top1, folder=_LEGENDARY)


def _mobilenet_v1(suffix: str, width: int, top1: float) -> NetworkSpec:
    stages, top = (stage("conv"), stage("blocks.*")), ("avg_pool", "flatten", "fc")
    return clas_row(f"MobileNetV1{suffix}", stages, top, width, top1, folder=_LEGENDARY)


def _inverted_residuals() -> tuple[Stage, ...]:
    """A group's first block has no shortcut, unlike the others."""
    stages = []
    for group, count in enumerate((1, 2, 3, 4, 3, 3, 1), 2):
        stages.append(stage(f"conv{group}.1", f":no_shortcut conv{group}._first_block"))
        later = (f"conv{group}_{block}" for block in range(2, count + 1))
        stages += [stage(f"conv{group}.{name[-1]}", f":shortcut conv{group}.{name}") for name in later]
    return tuple(stages)


def _mobilenet_v2(suffix: str, width: int, top1: float) -> NetworkSpec:
    stages, top = (stage("conv1"), *_inverted_residuals(), stage("conv9")), ("pool2d_avg", ":flatten", "out")
    return clas_row(f"MobileNetV2{suffix}", stages, top, width, top1)


def _mobilenet_v3(variant: str, top1: float) -> NetworkSpec:
    last = (stage("last_second_conv"), stage("last_conv", "avg_pool", "last_conv", "hardswish"))
    stages = (stage("conv"), stage("blocks.*"), *last)
    return clas_row(f"MobileNetV3_{variant}", stages, _LAST_CONV_TOP, 1280, top1, folder=_LEGENDARY)


def _shufflenet(suffix: str, width: int, top1: float) -> NetworkSpec:
    stages = (stage("stem", "_conv1", "_max_pool"), stage("[234]_*"), stage("_last_conv"))
    return clas_row(f"ShuffleNetV2_{suffix}", stages, ("_pool2d_avg", ":flatten", "_fc"), width, top1)


def _ghostnet(scale: str, top1: float) -> NetworkSpec:
    blocks = stage("blocks.*", "_ghostbottleneck_*")
    stages = (stage("conv1"), blocks, stage("conv_last"), stage("fc_0", "pool2d_gap", "fc_0"))
    return clas_row(f"GhostNet_{scale}", stages, ("dropout", ":flatten", "fc_1"), 1280, top1)


def _esnet(scale: str, top1: float) -> NetworkSpec:
    last = (stage("conv2"), stage("last_conv", "avg_pool", "last_conv", "hardswish"))
    stages = (stage("stem", "conv1", "max_pool"), stage("blocks.*"), *last)
    return clas_row(f"ESNet_{scale}", stages, _LAST_CONV_TOP, 1280, top1, folder=_LEGENDARY)


def _starnet(size: str, width: int, top1: float) -> NetworkSpec:
    groups = (stage(f"stages.{group}.*") for group in range(4))
    return clas_row(
        f"StarNet_{size}", (stage("stem"), *groups, stage("norm")), ("avgpool", ":flatten", "head"), width, top1
    )


CLAS_MOBILES = (
    _lcnet("x0_25", 0.5186),
    _lcnet("x0_35", 0.5809),
    _lcnet("x0_5", 0.6314),
    _lcnet("x0_75", 0.6818),
    _lcnet("x1_0", 0.7132),
    _lcnet("x1_5", 0.7371),
    _lcnet("x2_0", 0.7518),
    _lcnet("x2_5", 0.7660),
    _lcnet_v2("small", None),
    _lcnet_v2("base", 0.7704),
    _lcnet_v2("large", None),
    _mobilenet_v1("_x0_25", 256, 0.5143),
    _mobilenet_v1("_x0_5", 512, 0.6352),
    _mobilenet_v1("_x0_75", 768, 0.6881),
    _mobilenet_v1("", 1024, 0.7099),
    _mobilenet_v2("_x0_25", 1280, 0.5321),
    _mobilenet_v2("_x0_5", 1280, 0.6503),
    _mobilenet_v2("_x0_75", 1280, 0.6983),
    _mobilenet_v2("", 1280, 0.7215),
    _mobilenet_v2("_x1_5", 1920, 0.7412),
    _mobilenet_v2("_x2_0", 2560, 0.7523),
    _mobilenet_v3("small_x0_35", 0.5303),
    _mobilenet_v3("small_x0_5", 0.5921),
    _mobilenet_v3("small_x0_75", 0.6602),
    _mobilenet_v3("small_x1_0", 0.6824),
    _mobilenet_v3("small_x1_25", 0.7067),
    _mobilenet_v3("large_x0_35", 0.6432),
    _mobilenet_v3("large_x0_5", 0.6924),
    _mobilenet_v3("large_x0_75", 0.7314),
    _mobilenet_v3("large_x1_0", 0.7532),
    _mobilenet_v3("large_x1_25", 0.7641),
    _shufflenet("x0_25", 512, 0.4990),
    _shufflenet("x0_33", 512, 0.5373),
    _shufflenet("x0_5", 1024, 0.6032),
    _shufflenet("x1_0", 1024, 0.6880),
    _shufflenet("x1_5", 1024, 0.7163),
    _shufflenet("x2_0", 2048, 0.7315),
    _shufflenet("swish", 1024, 0.7003),
    _ghostnet("x0_5", 0.6688),
    _ghostnet("x1_0", 0.7402),
    _ghostnet("x1_3", 0.7579),
    _esnet("x0_25", 0.6248),
    _esnet("x0_5", 0.6882),
    _esnet("x0_75", 0.7224),
    _esnet("x1_0", 0.7392),
    _starnet("S1", 192, 0.736),
    _starnet("S2", 256, 0.748),
    _starnet("S3", 256, 0.770),
    _starnet("S4", 256, 0.790),
)
