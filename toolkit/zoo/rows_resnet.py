"""ResNet, ResNeXt and Wide ResNet.

Top-1: the table of PaddlePaddle/hapi (image_classification/README), and Paddle pull request 37050 for Wide ResNet.
"""

from __future__ import annotations

from toolkit.zoo.spec import NetworkSpec, PretrainedWeights, stage

_STAGES = (
    stage("stem", "conv1", "bn1", "relu", "maxpool"),
    stage("layer1.*"),
    stage("layer2.*"),
    stage("layer3.*"),
    stage("layer4.*"),
)


def _row(name: str, width: int, md5: str, top1: float | None = None) -> NetworkSpec:
    return NetworkSpec(
        name=name,
        factory=f"paddle.vision.models.{name}",
        stages=_STAGES,
        head="fc",
        top=("avgpool", ":flatten", "fc"),
        width=width,
        weights=PretrainedWeights(f"https://paddle-hapi.bj.bcebos.com/models/{name}.pdparams", md5),
        top1=top1,
    )


RESNETS = (
    _row("resnet18", 512, "cf548f46534aa3560945be4b95cd11c4", 0.7172),
    _row("resnet34", 512, "8d2275cf8706028345f78ac0e1d31969", 0.7502),
    _row("resnet50", 2048, "ca6f485ee1ab0492d38f323885b0ad80", 0.7627),
    _row("resnet101", 2048, "02f35f034ca3858e1e54d4036443c92d", 0.7833),
    _row("resnet152", 2048, "7ad16a2f1e7333859ff986138630fd7a", 0.7878),
    _row("resnext50_32x4d", 2048, "dc47483169be7d6f018fcbb7baf8775d"),
    _row("resnext50_64x4d", 2048, "063d4b483e12b06388529450ad7576db"),
    _row("resnext101_32x4d", 2048, "967b090039f9de2c8d06fe994fb9095f"),
    _row("resnext101_64x4d", 2048, "98e04e7ca616a066699230d769d03008"),
    _row("resnext152_32x4d", 2048, "18ff0beee21f2efc99c4b31786107121"),
    _row("resnext152_64x4d", 2048, "77c4af00ca42c405fa7f841841959379"),
    _row("wide_resnet50_2", 2048, "0282f804d73debdab289bd9fea3fa6dc", 0.7847),
    _row("wide_resnet101_2", 2048, "d4360a2d23657f059216f5d5a1a9ac93", 0.7885),
)
