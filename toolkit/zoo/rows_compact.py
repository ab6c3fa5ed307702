"""Small networks: SqueezeNet, ShuffleNet v2, LeNet.

Top-1: the model tables of PaddleClas, from whose store these weights come.
"""

from __future__ import annotations

from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, Stage, stage

_HAPI = "https://paddle-hapi.bj.bcebos.com/models"
_CLAS = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph"


def _squeezenet(
    name: str, file: str, md5: str, top1: float, stages: tuple[Stage, ...], min_size: int = 32
) -> NetworkSpec:
    return NetworkSpec(
        name=name,
        factory=f"paddle.vision.models.{name}",
        stages=stages,
        head="_conv9",
        top=("_drop", "_conv9", ":relu", "_avg_pool", ":squeeze"),
        width=512,
        min_size=min_size,
        weights=PretrainedWeights(f"{_CLAS}/{file}", md5),
        top1=top1,
    )


def _shufflenet(suffix: str, width: int, md5: str) -> NetworkSpec:
    name = f"shufflenet_v2_{suffix}"
    return NetworkSpec(
        name=name,
        factory=f"paddle.vision.models.{name}",
        stages=(stage("stem", "_conv1", "_max_pool"), stage("[234]_*"), stage("_last_conv")),
        head="_fc",
        top=("_pool2d_avg", ":flatten", "_fc"),
        width=width,
        weights=PretrainedWeights(f"{_HAPI}/{name}.pdparams", md5),
    )


_SQUEEZENET_1_0 = (
    stage("_conv", "_conv", ":relu", "_pool"),
    stage("_conv1"),
    stage("_conv2"),
    stage("_conv3", "_conv3", "_pool"),
    stage("_conv4"),
    stage("_conv5"),
    stage("_conv6"),
    stage("_conv7", "_conv7", "_pool"),
    stage("_conv8"),
)
_SQUEEZENET_1_1 = (
    stage("_conv", "_conv", ":relu", "_pool"),
    stage("_conv1"),
    stage("_conv2", "_conv2", "_pool"),
    stage("_conv3"),
    stage("_conv4", "_conv4", "_pool"),
    stage("_conv5"),
    stage("_conv6"),
    stage("_conv7"),
    stage("_conv8"),
)

COMPACTS = (
    _squeezenet(
        "squeezenet1_0",
        "SqueezeNet1_0_pretrained.pdparams",
        "30b95af60a2178f03cf9b66cd77e1db1",
        0.596,
        _SQUEEZENET_1_0,
        min_size=35,
    ),
    _squeezenet(
        "squeezenet1_1",
        "SqueezeNet1_1_pretrained.pdparams",
        "a11250d3a1f91d7131fd095ebbf09eee",
        0.601,
        _SQUEEZENET_1_1,
    ),
    _shufflenet("x0_25", 512, "1e509b4c140eeb096bb16e214796d03b"),
    _shufflenet("x0_33", 512, "3d7b3ab0eaa5c0927ff1026d31b729bd"),
    _shufflenet("x0_5", 1024, "5e5cee182a7793c4e4c73949b1a71bd4"),
    _shufflenet("x1_0", 1024, "122d42478b9e81eb49f8a9ede327b1a4"),
    _shufflenet("x1_5", 1024, "faced5827380d73531d0ee027c67826d"),
    _shufflenet("x2_0", 2048, "cd3dddcd8305e7bcd8ad14d1c69a5784"),
    _shufflenet("swish", 1024, "adde0aa3b023e5b0c94a68be1c394b84"),
    NetworkSpec(
        name="lenet",
        factory="paddle.vision.models.LeNet",
        stages=(
            stage("conv1", ":gray", "features.0", "features.1", "features.2"),
            stage("conv2", "features.3", "features.4", "features.5"),
            stage("fc.0", ":flatten", "fc.0"),
            stage("fc.1"),
        ),
        head="fc.2",
        top=("fc.2",),
        width=84,
        input_size=28,
        min_size=28,
        max_size=31,
        in_channels=1,
        classes=10,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
)
