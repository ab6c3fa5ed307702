"""MobileNet v1, v2 and v3, with their width multipliers (``_x0_5`` is half as wide).

Top-1: the table of PaddlePaddle/hapi (image_classification/README).
"""

from __future__ import annotations

from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, stage

_HAPI = "https://paddle-hapi.bj.bcebos.com/models"


def _v1(suffix: str, scale: float, width: int, weights: PretrainedWeights | None = None) -> NetworkSpec:
    return NetworkSpec(
        name=f"mobilenet_v1{suffix}",
        factory="paddle.vision.models.mobilenet_v1",
        options={"scale": scale},
        stages=(stage("conv*"),),
        head="fc",
        top=("pool2d_avg", ":flatten", "fc"),
        width=width,
        weights=weights,
    )


def _v2(
    suffix: str, scale: float, width: int, weights: PretrainedWeights | None = None, top1: float | None = None
) -> NetworkSpec:
    return NetworkSpec(
        name=f"mobilenet_v2{suffix}",
        factory="paddle.vision.models.mobilenet_v2",
        options={"scale": scale},
        stages=(stage("features.*"),),
        head="classifier.1",
        top=("pool2d_avg", ":flatten", "classifier.0", "classifier.1"),
        width=width,
        weights=weights,
        top1=top1,
    )


def _v3(kind: str, suffix: str, scale: float, width: int, weights: PretrainedWeights | None = None) -> NetworkSpec:
    return NetworkSpec(
        name=f"mobilenet_v3_{kind}{suffix}",
        factory=f"paddle.vision.models.mobilenet_v3_{kind}",
        options={"scale": scale},
        stages=(
            stage("conv"),
            stage("blocks.*"),
            stage("lastconv"),
            stage("classifier.0", "avgpool", ":flatten", "classifier.0", "classifier.1"),
        ),
        head="classifier.3",
        top=("classifier.2", "classifier.3"),
        width=width,
        weights=weights,
    )


MOBILENETS = (
    _v1("", 1.0, 1024, PretrainedWeights(f"{_HAPI}/mobilenetv1_1.0.pdparams", "3033ab1975b1670bef51545feb65fc45")),
    _v1("_x0_25", 0.25, 256),
    _v1("_x0_5", 0.5, 512),
    _v1("_x0_75", 0.75, 768),
    _v2(
        "",
        1.0,
        1280,
        PretrainedWeights(f"{_HAPI}/mobilenet_v2_x1.0.pdparams", "0340af0a901346c8d46f4529882fb63d"),
        0.7230,
    ),
    _v2("_x0_25", 0.25, 1280),
    _v2("_x0_5", 0.5, 1280),
    _v2("_x0_75", 0.75, 1280),
    _v2("_x1_5", 1.5, 1920),
    _v2("_x2_0", 2.0, 2560),
    _v3(
        "small",
        "",
        1.0,
        1024,
        PretrainedWeights(f"{_HAPI}/mobilenet_v3_small_x1.0.pdparams", "34fe0e7c1f8b00b2b056ad6788d0590c"),
    ),
    _v3("small", "_x0_35", 0.35, 360),
    _v3("small", "_x0_5", 0.5, 512),
    _v3("small", "_x0_75", 0.75, 768),
    _v3("small", "_x1_25", 1.25, 1280),
    _v3(
        "large",
        "",
        1.0,
        1280,
        PretrainedWeights(f"{_HAPI}/mobilenet_v3_large_x1.0.pdparams", "118db5792b4e183b925d8e8e334db3df"),
    ),
    _v3("large", "_x0_35", 0.35, 448),
    _v3("large", "_x0_5", 0.5, 640),
    _v3("large", "_x0_75", 0.75, 960),
    _v3("large", "_x1_25", 1.25, 1600),
)
