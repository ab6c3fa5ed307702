"""Profiles against published numbers, against what the networks do, and against the memory that Paddle takes."""

from __future__ import annotations

import gc
from importlib.util import find_spec

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.base import core

from toolkit.core.errors import NetworkError
from toolkit.core.evaluation import evaluating
from toolkit.zoo import StagedNetwork, create_network, get_spec, list_networks, profile_network
from toolkit.zoo.forward_steps import BoundStage
from toolkit.zoo.graph import Graph, trace
from toolkit.zoo.measurements import Measured, measured_networks
from toolkit.zoo.operations import macs

# Parameters and GMAC that torchvision publishes with its weights (``num_params`` and ``_ops`` in torchvision/models)
TORCHVISION = {
    "alexnet": (61_100_840, 0.714),
    "densenet121": (7_978_856, 2.834),
    "mobilenet_v2": (3_504_872, 0.301),
    "mobilenet_v3_large": (5_483_032, 0.217),
    "mobilenet_v3_small": (2_542_856, 0.057),
    "resnet18": (11_689_512, 1.814),
    "resnet34": (21_797_672, 3.664),
    "resnet50": (25_557_032, 4.089),
    "resnet101": (44_549_160, 7.801),
    "resnet152": (60_192_808, 11.514),
    "resnext50_32x4d": (25_028_904, 4.23),
    "shufflenet_v2_x1_0": (2_278_604, 0.145),
    "squeezenet1_1": (1_235_496, 0.349),
    "vgg16": (138_357_544, 15.47),
    "vgg19": (143_667_240, 19.632),
    "wide_resnet50_2": (68_883_240, 11.398),
}
# From elsewhere: (millions of parameters, GMAC, source)
PUBLISHED = {
    "googlenet": (7.0, 1.5, "Szegedy et al. 2015, arXiv 1409.4842: 1.5 billion multiply-adds; table 1: 6.8 M"),
    "inception_v3": (23.8, 5.7, "Keras Applications: 23.9 M; torchvision: 5.713 GMAC (its 27.2 M have the auxiliary)"),
    "mobilenet_v1": (4.2, 0.569, "Howard et al. 2017, arXiv 1704.04861, table 4"),
    "clas/ConvNeXt_tiny": (28.6, 4.5, "Liu et al. 2022, arXiv 2201.03545, table 1"),
    "clas/EfficientNetB0": (5.3, 0.39, "Tan and Le 2019, arXiv 1905.11946, table 2"),
    "clas/SwinTransformer_tiny_patch4_window7_224": (28.3, 4.5, "Liu et al. 2021, arXiv 2103.14030, table 1"),
    "clas/ViT_base_patch16_224": (86.6, 17.56, "torchvision: vit_b_16"),
}
QUICK = ("lenet", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x0_25", "squeezenet1_1")


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_numbers(name: str) -> None:
    parameters, giga = TORCHVISION[name]
    row = measured_networks()[name]
    assert row.parameters == parameters
    assert row.macs / 1e9 == pytest.approx(giga, abs=0.0006)


@pytest.mark.parametrize("name", PUBLISHED)
def test_other_published_numbers(name: str) -> None:
    millions, giga, _ = PUBLISHED[name]
    row = measured_networks()[name]
    assert row.parameters / 1e6 == pytest.approx(millions, rel=0.03)
    assert row.macs / 1e9 == pytest.approx(giga, rel=0.05)


def test_every_row_has_been_measured_at_its_size() -> None:
    rows = measured_networks()
    assert set(rows) == set(list_networks()), "run: python -m toolkit.zoo.remeasure --missing"
    sizes = {name: get_spec(name).input_size for name in rows}
    assert {name: row.image_size for name, row in rows.items()} == sizes, "run: python -m toolkit.zoo.remeasure"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.zoo) for name in list_networks()]
)
def test_the_table_is_what_is_measured(name: str) -> None:
    if get_spec(name).library == "paddleclas" and find_spec("paddleclas") is None:
        pytest.skip("PaddleClas is not installed")
    profile = profile_network(name)
    found = Measured(profile.parameters, profile.macs, len(profile.stages), profile.image_size)
    assert found == measured_networks()[name], f"run: python -m toolkit.zoo.remeasure {name}"
    assert profile.unknown == ()


def test_stages_add_up() -> None:
    profile = profile_network("resnet18", 64)
    parts = (*profile.stages, profile.head)
    assert [part.name for part in parts] == [*create_network("resnet18").stage_names, "head"]
    assert profile.stages[0].shape == (64, 16, 16)
    assert profile.stages[0].activation_bytes == 64 * 16 * 16 * 4
    assert profile.stages[0].macs == 64 * 32 * 32 * 3 * 7 * 7
    assert profile.stages[0].parameters == 64 * 3 * 7 * 7 + 2 * 64
    assert profile.head.shape == (1000,)
    assert profile.head.macs == 512_000
    assert profile.head.parameters == 513_000
    assert profile.parameters == sum(part.parameters for part in parts) == 11_689_512
    assert profile.stages[1].cumulated_parameters == sum(part.parameters for part in parts[:2])
    assert profile.to_json()["total"]["macs"] == profile.macs == sum(part.macs for part in parts)


def test_shapes_are_those_of_the_network() -> None:
    for name in ("lenet", "mobilenet_v1_x0_25"):
        size = get_spec(name).min_size
        described = create_network(name).describe(size)
        stages = profile_network(name, size).stages
        assert [(one.name, one.shape, one.parameters) for one in stages] == [
            (one.name, one.shape, one.parameters) for one in described
        ]


def test_cut_size_and_channels() -> None:
    whole, small = profile_network("resnet18", 64), profile_network("resnet18", 96, cut="layer2", in_channels=5)
    assert [stage.name for stage in small.stages] == [stage.name for stage in whole.stages[:5]]
    assert (small.image_size, small.in_channels) == (96, 5)
    assert small.stages[-1].shape == (128, 12, 12)
    assert small.head.parameters == 128 * 1000 + 1000
    assert small.stages[0].parameters - whole.stages[0].parameters == 2 * 64 * 7 * 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "resnet51"}, "did you mean resnet50"),
        ({"name": "resnet18", "image_size": 8}, "at least 32"),
        ({"name": "resnet18", "cut": "layr3"}, "did you mean layer3"),
        ({"name": "resnet18", "in_channels": 0}, "in_channels is 0"),
    ],
)
def test_what_cannot_be_measured(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(NetworkError, match=words):
        profile_network(**arguments)  # type: ignore[arg-type]


# Multiply-accumulates of layers that no row of paddle.vision.models has


def traced(layer: nn.Layer, channels: int, size: int) -> Graph:
    return trace([BoundStage("one", (layer,), {"one": layer}, {}, {})], channels, size)


def total(graph: Graph) -> int:
    return sum(macs(operation, graph) for operation in graph.operations)


class Attention(nn.Layer):
    """A patch embedding and one layer of self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2D(3, 12, 4, 4)
        self.attention = nn.MultiHeadAttention(12, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        tokens = self.patches(x).flatten(2).transpose([0, 2, 1])
        return self.attention(tokens, tokens, tokens)


def test_attention_counts_its_products() -> None:
    length, width = 16, 12
    embedding = length * width * 3 * 4 * 4
    attention = 4 * length * width * width + 2 * length * length * width
    assert total(traced(Attention(), 3, 16)) == embedding + attention


def test_groups_dilation_and_transposed_convolutions() -> None:
    assert total(traced(nn.Conv2D(8, 16, 3, padding=2, dilation=2, groups=4), 8, 10)) == 16 * 10 * 10 * 2 * 9
    assert total(traced(nn.Conv2DTranspose(8, 4, 2, 2), 8, 5)) == 8 * 5 * 5 * 4 * 2 * 2


# Receptive fields


@pytest.mark.parametrize(
    ("name", "stage", "size"),
    [
        ("alexnet", "_conv5", 195),
        pytest.param("vgg16", "conv5", 212, marks=pytest.mark.slow),
        pytest.param("inception_v3", "inception_block_list.10", 1311, marks=pytest.mark.slow),
        ("mobilenet_v1", "conv6", 315),
    ],
)
def test_published_receptive_fields(name: str, stage: str, size: int) -> None:
    """Araujo et al. 2019, Distill; table of models, of which these have Paddle's strides."""
    profile = profile_network(name, cut=stage)
    assert profile.stages[-1].name == stage
    assert profile.stages[-1].receptive_field == (size, size)


def test_a_receptive_field_by_hand() -> None:
    """ResNet-18: 7/2, 3/2, then two blocks of two 3x3 per layer; the first one strides from layer2 on."""
    field, step = 1, 1
    fields = []
    for kernel, stride in [(7, 2), (3, 2)] + [(3, 1)] * 4 + ([(3, 2)] + [(3, 1)] * 3) * 3:
        field, step = field + (kernel - 1) * step, step * stride
        fields.append(field)
    assert [stage.receptive_field for stage in profile_network("resnet18", 64).stages] == [
        (size, size) for size in fields[1::2]
    ]


def test_global_layers_see_the_whole_image() -> None:
    gated = {stage.name: stage.receptive_field for stage in profile_network("mobilenet_v3_large", 64).stages}
    assert gated["blocks.2"] is not None
    assert gated["blocks.3"] is None, "the first squeeze-and-excitation"
    assert gated["lastconv"] is None
    dense = profile_network("lenet")
    assert [stage.receptive_field for stage in dense.stages] == [(4, 4), (14, 14), None, None]
    assert dense.head.receptive_field is None


def seen_columns(network: StagedNetwork, stages: int, size: int) -> int:
    """Count the columns of the image that reach the middle of a stage's output; each is lit in one image.

    All weights are positive, so nothing cancels out.
    """
    for value in network.state_dict().values():
        fan = value.size / value.shape[0] if value.ndim > 1 else 1
        value.set_value(paddle.full(value.shape, 1 / fan if value.ndim > 1 else 1.0, value.dtype))
    images = np.ones((size + 1, network.in_channels, size, size), np.float32)
    for column in range(size):
        images[column, :, :, column] = 2
    with evaluating(network), paddle.no_grad():
        outputs = network.features(paddle.to_tensor(images), stages).numpy()
    changes = np.abs(outputs[:-1] - outputs[-1])[..., outputs.shape[-1] // 2].max(axis=(1, 2))
    found = np.flatnonzero(changes)
    return int(found[-1] - found[0] + 1)


@pytest.mark.parametrize(
    ("name", "stage", "size"),
    [
        ("resnet18", "layer1.1", 64),
        ("squeezenet1_1", "_conv2", 64),
        ("mobilenet_v2", "features.3", 48),
        ("shufflenet_v2_x0_25", "2_2", 80),
        pytest.param("googlenet", "_ince3a", 96, marks=pytest.mark.slow),
        pytest.param("vgg11", "conv3", 64, marks=pytest.mark.slow),
        pytest.param("clas/PPHGNetV2_B0", "stages.0.blocks.0", 64, marks=pytest.mark.slow),
    ],
)
def test_fields_are_what_the_network_sees(name: str, stage: str, size: int) -> None:
    if get_spec(name).library == "paddleclas" and find_spec("paddleclas") is None:
        pytest.skip("PaddleClas is not installed")
    network = create_network(name)
    index = network.resolve(stage)
    field = profile_network(name, size).stages[index - 1].receptive_field
    assert field is not None
    assert field[0] == field[1] < size
    assert seen_columns(network, index, size) == field[1]


# Memory


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="counts host memory")
@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v3_small",
        "shufflenet_v2_x0_5",
        "squeezenet1_1",
        pytest.param("densenet121", marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", marks=pytest.mark.slow),
    ],
)
def test_kept_memory_is_what_paddle_keeps(name: str) -> None:
    size, images = 96, 2
    network = create_network(name)
    network.train()
    image = paddle.rand([images, 3, size, size])
    gc.disable()  # collecting other tests' garbage would change the count
    try:
        before = core.host_memory_stat_current_value("Allocated", 0)
        logits = network(image)
        taken = (core.host_memory_stat_current_value("Allocated", 0) - before) / images
    finally:
        gc.enable()
    assert logits.shape == [images, 1000]
    assert profile_network(name, size).kept_bytes == pytest.approx(taken, rel=0.03)
