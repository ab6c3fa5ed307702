"""AlexNet, DenseNet, GoogLeNet and Inception v3.

Top-1: the model tables of PaddleClas, from whose store these weights come.
"""

from __future__ import annotations

from toolkit.zoo.spec import Auxiliary, NetworkSpec, PretrainedWeights, stage

_HAPI = "https://paddle-hapi.bj.bcebos.com/models"
_CLAS = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph"

_DENSENET_STAGES = (
    stage("conv1_func", "conv1_func", "pool2d_max"),
    stage("db_conv_2"),
    stage("tr_conv2_blk"),
    stage("db_conv_3"),
    stage("tr_conv3_blk"),
    stage("db_conv_4"),
    stage("tr_conv4_blk"),
    stage("db_conv_5"),
    stage("batch_norm"),
)


def _densenet(layers: int, width: int, md5: str, top1: float) -> NetworkSpec:
    return NetworkSpec(
        name=f"densenet{layers}",
        factory=f"paddle.vision.models.densenet{layers}",
        stages=_DENSENET_STAGES,
        head="out",
        top=("pool2d_avg", ":flatten", "out"),
        width=width,
        weights=PretrainedWeights(f"{_CLAS}/DenseNet{layers}_pretrained.pdparams", md5),
        top1=top1,
    )


def _auxiliary(index: int, after: str, *steps: str) -> Auxiliary:
    """A classifier of GoogLeNet, whose dense layers take maps of 3x3; its weight is that of arXiv 1409.4842."""
    return Auxiliary(after, steps, f"_out{index}", width=1024, weight=0.3, min_size=189, max_size=236)


LARGES = (
    NetworkSpec(
        name="alexnet",
        factory="paddle.vision.models.alexnet",
        stages=(
            stage("_conv1"),
            stage("_conv2"),
            stage("_conv3", "_conv3", ":relu"),
            stage("_conv4", "_conv4", ":relu"),
            stage("_conv5"),
            stage("_fc6", ":flatten", "_drop1", "_fc6", ":relu"),
            stage("_fc7", "_drop2", "_fc7", ":relu"),
        ),
        head="_fc8",
        top=("_fc8",),
        width=4096,
        min_size=223,
        max_size=254,
        weights=PretrainedWeights(f"{_CLAS}/AlexNet_pretrained.pdparams", "7f0f9f737132e02732d75a1459d98a43"),
        top1=0.567,
    ),
    _densenet(121, 1024, "db1b239ed80a905290fd8b01d3af08e4", 0.7566),
    _densenet(161, 2208, "62158869cb315098bd25ddbfd308a853", 0.7857),
    _densenet(169, 1664, "82cc7c635c3f19098c748850efb2d796", 0.7681),
    _densenet(201, 1920, "16ca29565a7712329cf9e36e02caaf58", 0.7763),
    _densenet(264, 2688, "3270ce516b85370bba88cfdd9f60bff4", 0.7796),
    NetworkSpec(
        name="googlenet",
        factory="paddle.vision.models.googlenet",
        stages=(
            stage("_conv", "_conv", "_pool"),
            stage("_conv_1"),
            stage("_conv_2", "_conv_2", "_pool"),
            stage("_ince3a"),
            stage("_ince3b", "_ince3b", "_pool"),
            stage("_ince4a"),
            stage("_ince4b"),
            stage("_ince4c"),
            stage("_ince4d"),
            stage("_ince4e", "_ince4e", "_pool"),
            stage("_ince5a"),
            stage("_ince5b"),
        ),
        head="_fc_out",
        top=("_pool_5", "_drop", ":squeeze", "_fc_out"),
        width=1024,
        min_size=61,
        auxiliary=(
            _auxiliary(1, "_ince4a", "_pool_o1", "_conv_o1", ":flatten", "_fc_o1", ":relu", "_drop_o1", "_out1"),
            _auxiliary(2, "_ince4d", "_pool_o2", "_conv_o2", ":flatten", "_fc_o2", "_drop_o2", "_out2"),
        ),
        weights=PretrainedWeights(f"{_CLAS}/GoogLeNet_pretrained.pdparams", "80c06f038e905c53ab32c40eca6e26ae"),
        top1=0.707,
    ),
    NetworkSpec(
        name="inception_v3",
        factory="paddle.vision.models.inception_v3",
        stages=(stage("inception_stem"), stage("inception_block_list.*")),
        head="fc",
        top=("avg_pool", ":flatten", "dropout", "fc"),
        width=2048,
        input_size=299,
        min_size=75,
        weights=PretrainedWeights(f"{_HAPI}/inception_v3.pdparams", "649a4547c3243e8b59c656f41fe330b8"),
    ),
)
