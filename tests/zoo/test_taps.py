"""Heads that read pooled features of several stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from tests.zoo.test_contract import ROWS, images_for
from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError
from toolkit.zoo import StagedNetwork, create_network, get_spec, load_weights, write_weights

NAME, STAGES = "mobilenet_v1_x0_25", 14
UPPER = HeadConfig(stages="upper_half")


def network_with(head: HeadConfig = UPPER, name: str = NAME, **options: Any) -> StagedNetwork:
    paddle.seed(3)
    network = create_network(name, 3, head=head, image_size=get_spec(name).min_size, **options)
    network.eval()
    return network


def pooled_by_hand(network: StagedNetwork, x: paddle.Tensor, stages: tuple[int, ...]) -> np.ndarray:
    """Averages over the positions of each stage's map, of a network whose head reads the last stage.

    Tokens are pooled as those of the last stage are.
    """
    maps = [network.features(x, index + 1) for index in stages]
    plain = [z.numpy().mean((2, 3)) if z.ndim == 4 else network.pool(z).numpy() for z in maps]
    return np.concatenate(plain, axis=1)


@pytest.mark.parametrize("name", ROWS)
def test_every_network_gives_features_of_its_upper_half(name: str) -> None:
    """From the image and from every boundary that suffices; and they are what pooling by hand gives."""
    plain, network = network_with(HeadConfig(), name), network_with(UPPER, name)
    stages = len(network.stage_names)
    assert network.taps == tuple(range(stages // 2, stages))
    for index in range(stages):
        for key, value in network.stage_state(index).items():
            value.set_value(plain.stage_state(index)[key])
    x = images_for(network.spec)
    with paddle.no_grad():
        features = network.features(x, stages)
        expected = pooled_by_hand(plain, x, network.taps)
        np.testing.assert_allclose(features.numpy(), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        assert features.shape == [2, sum(network.feature_pieces)] == [2, network.feature_width]
        outputs = network(x).numpy()
        for k in (1, network.taps[0], network.taps[0] + 1, stages):
            with network.starting_at(k):
                np.testing.assert_array_equal(network(network.features(x, k)).numpy(), outputs)
    assert outputs.shape == (2, 3)
    assert network.head_parameters()[f"{network.spec.head}.weight"].shape == [network.feature_width, 3]


def test_the_last_stage_is_the_network_without_the_option_to_the_bit() -> None:
    x, plain = paddle.randn([2, 3, 64, 64]), network_with(HeadConfig())
    for stages in ("last", ("conv6",), None):
        network = network_with(HeadConfig(stages=stages))
        assert network.taps == ()
        assert network.feature_pieces == (256,)
        assert network.state_dict().keys() == plain.state_dict().keys()
        assert network.standardising_head.feature_scale.shape == [1]
        np.testing.assert_array_equal(network(x).numpy(), plain(x).numpy())


@pytest.mark.parametrize(
    ("stages", "cut", "taps"),
    [
        ("all", None, tuple(range(9))),
        ("upper_half", "layer3.0", (3, 4, 5)),
        ("all", 1, ()),
        (("layer2", "layer4.1"), None, (3, 4, 8)),
        (("layer4.1", "stem"), None, (0, 8)),
    ],
)
def test_stages_are_those_that_are_kept_and_groups_are_stages(stages: Any, cut: Any, taps: tuple[int, ...]) -> None:
    network = network_with(HeadConfig(stages=stages), "resnet18", cut=cut)
    assert network.taps == taps
    assert network(paddle.randn([2, 3, 64, 64])).shape == [2, 3]


def test_an_activation_without_what_the_head_reads_is_refused() -> None:
    network, x = network_with(), paddle.randn([2, 3, 64, 64])
    assert [network.sufficient(k) for k in (0, 5, 8, 9, 13, 14)] == [0, 5, 8, 8, 8, 14]
    assert [network_with(HeadConfig()).sufficient(k) for k in (0, 13, 14)] == [0, 13, 14]
    z = network.features(x, 9)
    with pytest.raises(NetworkError, match=rf"reads {network.stage_names[7]}, which the activation after"):
        network.forward_from(z, 9)
    with network.starting_at(9), pytest.raises(NetworkError, match="does not contain"):
        network(z)


def test_maximum_pooling_and_what_cannot_be_pooled() -> None:
    network, x = network_with(pooling="max"), paddle.randn([2, 3, 64, 64])
    maps = [network.features(x, index + 1).numpy().max((2, 3)) for index in network.taps[:-1]]
    features = network.features(x, STAGES).numpy()
    np.testing.assert_array_equal(features[:, : -network.feature_pieces[-1]], np.concatenate(maps, axis=1))
    assert network.pool_is_fixed
    assert network.pooled_after(STAGES)
    assert not network.pooled_after(STAGES - 1)
    for kind in ("gem", "none"):
        with pytest.raises(NetworkError, match=f"model.pooling: {kind} reads one map, but the head of {NAME}"):
            network_with(pooling=kind)


def test_unknown_stages_are_refused() -> None:
    with pytest.raises(NetworkError, match=r"resnet18: unknown stage 'layer9'"):
        network_with(HeadConfig(stages=("layer9",)), "resnet18")
    with pytest.raises(NetworkError, match="number of classes"):
        create_network(NAME, head=UPPER)


@pytest.mark.parametrize("kind", ["linear", "mlp", "cosine"])
def test_every_kind_of_head_reads_them_and_is_saved(kind: Any, tmp_path: Path) -> None:
    head = HeadConfig(type=kind, hidden=(8,), stages="upper_half")
    network, again, x = network_with(head), network_with(head), paddle.randn([2, 3, 64, 64])
    if network.standardising_head is not None:
        scale = np.linspace(0.5, 2, network.feature_width)
        network.set_feature_statistics(np.full(network.feature_width, 0.25), scale)
        layer = network.standardising_head
        read = layer.standardised(network.features(x, STAGES)).numpy()
        expected = (network.features(x, STAGES).numpy() - 0.25) / scale.astype(np.float32)
        np.testing.assert_allclose(read, expected, rtol=1e-5, atol=1e-6)
        network.set_feature_statistics(np.full(network.feature_width, 0.25), 3.0)
        with pytest.raises(NetworkError, match="a scale of"):
            network.set_feature_statistics(np.zeros(network.feature_width), [1.0, 2.0])
    write_weights(network.state_dict(), tmp_path / "best.pdparams")
    load_weights(again, tmp_path / "best.pdparams")
    np.testing.assert_array_equal(again(x).numpy(), network(x).numpy())


def test_a_head_of_ones_own_reads_them() -> None:
    network, x = network_with(name="resnet18"), paddle.randn([2, 3, 64, 64])
    network.fc = nn.Sequential(nn.Linear(network.feature_width, 4), nn.ReLU(), nn.Linear(4, 3))
    network.freeze("all")
    assert network.by_hand.head
    features = network.features(x, 9)
    np.testing.assert_array_equal(network(x).numpy(), network.fc(features).numpy())


def test_auxiliary_classifiers_learn_beside_them() -> None:
    paddle.seed(0)
    network = create_network("googlenet", 3, head=UPPER, image_size=224)
    network.train()
    outputs = network(paddle.randn([2, 3, 224, 224]))
    assert [each.shape for each in outputs] == [[2, 3]] * 3
    sum(each.sum() for each in outputs).backward()
    assert all(weight.grad is not None for weight in network.trainable().values())
