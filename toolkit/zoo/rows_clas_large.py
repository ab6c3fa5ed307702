"""PaddleClas's other convolutional networks: PP-HGNet, EfficientNet, ConvNeXt, DenseNet, DPN, DarkNet."""

from __future__ import annotations

from toolkit.zoo.clas_row import clas_row
from toolkit.zoo.spec import NetworkSpec, Stage, stage

_LEGENDARY = "legendary_models/"


def _hgnet_groups() -> tuple[Stage, ...]:
    """Four groups of blocks, each except the first preceded by a convolution of stride 2."""
    groups = [stage("stages.0.blocks.*")]
    for group in range(1, 4):
        groups += [stage(f"stages.{group}.downsample"), stage(f"stages.{group}.blocks.*")]
    return tuple(groups)


def _hgnet(
    name: str, stem: Stage, top1: float, *, file: str | None = None, affine: tuple[str, ...] = ()
) -> NetworkSpec:
    last = stage("last_conv", "avg_pool", "last_conv", "act", *affine)
    stages, top = (stem, *_hgnet_groups(), last), ("dropout", "flatten", "fc")
    return clas_row(name, stages, top, 2048, top1, folder=_LEGENDARY, file=file)


def _hgnet_v1(size: str, top1: float, weights: str = "") -> NetworkSpec:
    name = f"PPHGNet_{size}"
    return _hgnet(name, stage("stem", "stem", "pool"), top1, file=f"{name}{weights}")


def _hgnet_v2(size: str, top1: float, affine: tuple[str, ...] = ()) -> NetworkSpec:
    """Weights are those of the second step of SSLD distillation, which has a published accuracy."""
    name = f"PPHGNetV2_{size}"
    return _hgnet(name, stage("stem"), top1, file=f"{name}_ssld", affine=affine)


def _efficientnet(size: str, width: int, input_size: int, top1: float) -> NetworkSpec:
    """``_small`` has weights for 224 pixels, like B0; the others scale with their image size."""
    blocks = stage("blocks.*", "_ef.*block*")
    return clas_row(
        f"EfficientNet{size}",
        (stage("stem", "_ef._conv_stem", ":swish"), blocks, stage("_conv")),
        ("_pool", "_drop", ":squeeze", "_fc"),
        width,
        top1,
        input_size=input_size,
    )


def _convnext(name: str, width: int, top1: float | None = None, input_size: int = 224) -> NetworkSpec:
    groups = (part for group in range(4) for part in (stage(f"downsample_layers.{group}"), stage(f"stages.{group}.*")))
    stages = (*groups, stage("norm", ":mean_map", "norm"))
    return clas_row(f"ConvNeXt_{name}", stages, ("head",), width, top1, input_size=input_size)


def _densenet(layers: int, width: int, top1: float) -> NetworkSpec:
    blocks = (f"{kind}{group}{end}" for group in (2, 3, 4) for kind, end in (("db_conv_", ""), ("tr_conv", "_blk")))
    stages = (
        stage("conv1_func", "conv1_func", "pool2d_max"),
        *(stage(name) for name in blocks),
        stage("db_conv_5"),
        stage("batch_norm"),
    )
    return clas_row(f"DenseNet{layers}", stages, ("pool2d_avg", ":flatten", "out"), width, top1)


def _dpn(layers: int, width: int, top1: float) -> NetworkSpec:
    stages = (
        stage("stem", "conv1_x_1_func", "pool2d_max"),
        stage("blocks.*", ":dual_path dpn*"),
        stage("conv5_x_x_bn"),
    )
    return clas_row(f"DPN{layers}", stages, ("pool2d_avg", ":flatten", "out"), width, top1)


def _darknet_groups() -> tuple[Stage, ...]:
    groups: list[Stage] = []
    for group, count in enumerate((1, 2, 8, 8, 4)):
        groups += [stage(f"_basic_block_{group}{block}") for block in range(1, count + 1)]
        groups += [stage(f"_downsample_{group}")] if group < 4 else []
    return tuple(groups)


CLAS_LARGES = (
    _hgnet_v1("tiny", 0.7983),
    _hgnet_v1("small", 0.8151),
    _hgnet_v1("base", 0.8500, "_ssld"),
    _hgnet_v2("B0", 0.7777, ("lab",)),
    _hgnet_v2("B1", 0.7918, ("lab",)),
    _hgnet_v2("B2", 0.8174, ("lab",)),
    _hgnet_v2("B3", 0.8298, ("lab",)),
    _hgnet_v2("B4", 0.8357),
    _hgnet_v2("B5", 0.8475),
    _hgnet_v2("B6", 0.8630),
    _efficientnet("B0_small", 1280, 224, 0.7580),
    _efficientnet("B0", 1280, 224, 0.7738),
    _efficientnet("B1", 1280, 240, 0.7915),
    _efficientnet("B2", 1408, 260, 0.7985),
    _efficientnet("B3", 1536, 300, 0.8115),
    _efficientnet("B4", 1792, 380, 0.8285),
    _efficientnet("B5", 2048, 456, 0.8362),
    _efficientnet("B6", 2304, 528, 0.8400),
    _efficientnet("B7", 2560, 600, 0.8430),
    _convnext("tiny", 768, 0.8203),
    _convnext("small", 768),
    _convnext("base_224", 1024),
    _convnext("base_384", 1024, input_size=384),
    _convnext("large_224", 1536),
    _convnext("large_384", 1536, input_size=384),
    _densenet(121, 1024, 0.7566),
    _densenet(161, 2208, 0.7857),
    _densenet(169, 1664, 0.7681),
    _densenet(201, 1920, 0.7763),
    _densenet(264, 2688, 0.7796),
    _dpn(68, 832, 0.7678),
    _dpn(92, 2688, 0.7985),
    _dpn(98, 2688, 0.8059),
    _dpn(107, 2688, 0.8089),
    _dpn(131, 2688, 0.8070),
    clas_row(
        "DarkNet53",
        (stage("_conv1"), stage("_conv2"), *_darknet_groups()),
        ("_pool", ":squeeze", "_out"),
        1024,
        0.780,
        input_size=256,
    ),
    clas_row(
        "CSPDarkNet53", (stage("stem"), stage("stages.*")), ("pool", "flatten", "fc"), 1024, 0.7725, input_size=256
    ),
)
