"""Stages, freezing, cutting, entering."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError
from toolkit.zoo import StagedNetwork, check_image_size, create_network, get_spec, list_networks
from toolkit.zoo.standardised_head import FEATURE_STATISTICS

FEATURES = {f"{head}.{name}" for head in ("fc", "_conv9") for name in FEATURE_STATISTICS}
"""Statistics of a head's features, which training sets before it begins."""


@pytest.fixture
def network() -> StagedNetwork:
    return create_network("squeezenet1_1", num_classes=4)


@pytest.fixture
def images() -> paddle.Tensor:
    return paddle.randn([2, 3, 48, 48])


def moved_by_training(layer: paddle.nn.Layer, x: paddle.Tensor, network: StagedNetwork) -> set[str]:
    inputs = paddle.static.InputSpec([None, *x.shape[1:]], name="x")
    model = paddle.Model(layer, [inputs], [paddle.static.InputSpec([None], "int64", name="y")])
    optimizer = paddle.optimizer.Momentum(0.01, parameters=layer.parameters(), weight_decay=0.01)
    model.prepare(optimizer, paddle.nn.CrossEntropyLoss())
    before = {k: v.numpy().copy() for k, v in network.state_dict().items()}
    for _ in range(2):
        model.train_batch([x.numpy()], [np.arange(x.shape[0]) % 2])
    return {k for k, v in network.state_dict().items() if (v.numpy() != before[k]).any()}


def test_names_of_stages() -> None:
    resnet50 = create_network("resnet50")
    assert resnet50.stage_names[:5] == ("stem", "layer1.0", "layer1.1", "layer1.2", "layer2.0")
    assert len(resnet50.stage_names) == 17
    assert create_network("mobilenet_v2").stage_names == tuple(f"features.{i}" for i in range(19))
    assert create_network("mobilenet_v1_x0_25").stage_names[:3] == ("conv1", "conv2_1", "conv2_2")


def test_vgg_is_split_at_its_pools() -> None:
    from toolkit.zoo.rows_vgg import VGGS

    names = {tuple(stage.name for stage in row.stages) for row in VGGS}
    assert names == {("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")}


def test_batchnorm_with_statistics_among_its_parameters_is_frozen_and_unfrozen() -> None:
    """DenseNet's BatchNorm keeps running statistics as parameters; they must never get gradients."""
    network = create_network("densenet121", num_classes=3)
    network.freeze("all")
    network.freeze("tr_conv2_blk")
    statistics = [p for k, p in network.named_parameters() if k.endswith(("_mean", "_variance"))]
    assert statistics
    assert all(p.stop_gradient for p in statistics)
    assert network.frozen == 3


def test_unfreezing_brings_back_gradients_and_training_mode(network: StagedNetwork, images: paddle.Tensor) -> None:
    network.freeze("all")
    network.freeze(0)
    assert moved_by_training(network, images, network) == set(network.state_dict()) - FEATURES
    assert all(layer.training for layer in network.sublayers(include_self=True))


def test_train_leaves_frozen_stages_in_evaluation_mode() -> None:
    network = create_network("alexnet", num_classes=2)
    network.freeze("_fc6")
    network.train()
    dropouts = {k: m.training for k, m in network.named_sublayers() if isinstance(m, paddle.nn.Dropout)}
    assert dropouts == {"_drop1": False, "_drop2": True}
    network.eval()
    assert not any(layer.training for layer in network.sublayers(include_self=True))
    network.train(False)
    assert not network.training


def test_freezing_in_evaluation_mode_stays_there(network: StagedNetwork) -> None:
    network.eval()
    network.freeze(3)
    assert not any(layer.training for layer in network.sublayers(include_self=True))


@pytest.mark.parametrize(
    ("said", "k"),
    [(0, 0), (3, 3), ("none", 0), ("all", 9), ("stem", 1), ("layer2.0", 4), ("layer3", 7), ("layer1", 3)],
)
def test_stages_are_found_by_number_name_and_group(said: int | str, k: int) -> None:
    assert create_network("resnet18").resolve(said) == k


@pytest.mark.parametrize("said", ["features.99", "feature", "Features", "", -1, 15])
def test_an_unknown_stage_lists_the_stages(said: int | str) -> None:
    with pytest.raises(NetworkError) as caught:
        create_network("mobilenet_v1_x0_25").resolve(said)
    assert "conv2_1" in str(caught.value)


def test_a_near_stage_is_suggested() -> None:
    with pytest.raises(NetworkError, match=r"did you mean conv5_6"):
        create_network("mobilenet_v1_x0_25").resolve("conv5-6")


def test_a_cut_network_has_only_what_is_below(images: paddle.Tensor) -> None:
    whole = create_network("resnet18", num_classes=3)
    network = create_network("resnet18", num_classes=3, cut="layer2.1")
    assert network.stage_names == ("stem", "layer1.0", "layer1.1", "layer2.0", "layer2.1")
    assert not any(key.startswith(("layer3", "layer4")) for key in network.state_dict())
    assert list(network.head_parameters()["fc.weight"].shape) == [128, 3]
    assert len(network.parameters()) < len(whole.parameters())
    assert network(images).shape == [2, 3]
    assert network.describe(48)[-1].shape == (128, 6, 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resnet18", True), ("squeezenet1_1", False), pytest.param("vgg11", False, marks=pytest.mark.slow)],
)
def test_stages_know_whether_they_have_batch_norm(name: str, expected: bool) -> None:
    assert {stage.batch_norm for stage in create_network(name, 2).describe(64)} == {expected}


def test_cutting_at_the_top_keeps_everything() -> None:
    network = create_network("mobilenet_v3_small", num_classes=3, cut="all")
    assert network.stage_names[-1] == "classifier.0"
    assert list(network.head_parameters()["classifier.3.weight"].shape) == [1024, 3]


@pytest.mark.parametrize("cut", ["none", 0])
def test_a_cut_that_keeps_nothing_is_refused(cut: int | str) -> None:
    with pytest.raises(NetworkError, match="must keep at least one stage"):
        create_network("lenet", num_classes=3, cut=cut)


def test_a_cut_or_a_head_without_classes_is_refused() -> None:
    with pytest.raises(NetworkError, match="number of classes"):
        create_network("lenet", cut="conv1")
    with pytest.raises(NetworkError, match="number of classes"):
        create_network("lenet", head=HeadConfig())
    with pytest.raises(NetworkError, match="num_classes is 0"):
        create_network("lenet", 0)


def test_entering_above_the_frozen_stages(images: paddle.Tensor) -> None:
    network = create_network("resnet18", num_classes=3)
    network.eval()
    expected = network(images).numpy()
    z = network.features(images, 3)
    with network.starting_at(3):
        np.testing.assert_array_equal(network(z).numpy(), expected)
    pooled = network.pool(network.features(images, 9))
    assert pooled.shape == [2, 512]
    with network.starting_at(9):
        np.testing.assert_array_equal(network(pooled).numpy(), expected)
    np.testing.assert_array_equal(network(images).numpy(), expected)


def test_features_of_no_stage_are_the_image(network: StagedNetwork, images: paddle.Tensor) -> None:
    assert network.features(images, 0) is images


def test_lenet_takes_colour_images() -> None:
    network = create_network("lenet", num_classes=2)
    network.eval()
    gray = paddle.randn([2, 1, 28, 28])
    np.testing.assert_allclose(network(gray.expand([2, 3, 28, 28])).numpy(), network(gray).numpy(), atol=1e-6)


def test_image_sizes_outside_the_networks_range() -> None:
    check_image_size(get_spec("resnet18"), 32)
    with pytest.raises(NetworkError, match="at least 32") as caught:
        check_image_size(get_spec("resnet18"), 31)
    assert "data.image_size" in str(caught.value.hint)
    with pytest.raises(NetworkError, match="at most 31"):
        create_network("lenet", 2, image_size=32)
    with pytest.raises(NetworkError, match="at least"):
        create_network("lenet", 2).describe(8)


def test_an_unknown_network_names_near_ones() -> None:
    with pytest.raises(NetworkError, match="did you mean") as caught:
        create_network("ResNet-50")
    assert "resnet50" in caught.value.message
    with pytest.raises(NetworkError) as caught:
        create_network("qqqqqqqq")
    assert "mobilenet_v2" in str(caught.value.hint)


def test_the_list_is_sorted_and_every_name_has_its_row() -> None:
    names = list_networks()
    assert names == sorted(set(names))
    assert all(get_spec(name).name == name for name in names)
    assert sum(get_spec(name).library == "paddle" for name in names) == 59


def test_export_runs_the_staged_forward(tmp_path: object) -> None:
    network = create_network("mobilenet_v1_x0_25", num_classes=3)
    network.eval()
    x = paddle.randn([2, 3, 32, 32])
    paddle.jit.save(network, f"{tmp_path}/model", input_spec=[paddle.static.InputSpec([None, 3, 32, 32], name="x")])
    np.testing.assert_allclose(paddle.jit.load(f"{tmp_path}/model")(x).numpy(), network(x).numpy(), atol=1e-5)
