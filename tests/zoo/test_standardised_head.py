"""Heads that standardise their features."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError, WeightsError
from toolkit.zoo import StagedNetwork, create_network, load_weights, read_weights, write_weights

NAME, WIDTH = "mobilenet_v1_x0_25", 256
HEADS = pytest.mark.parametrize("head", [HeadConfig(), HeadConfig(type="mlp", hidden=(8,))], ids=["linear", "mlp"])


def network_with(head: HeadConfig) -> StagedNetwork:
    network = create_network(NAME, 3, head=head)
    network.eval()
    return network


def pooled(network: StagedNetwork, x: paddle.Tensor) -> np.ndarray:
    return network.pool(network.features(x, len(network.stage_names))).numpy()


@HEADS
def test_a_fresh_head_takes_features_as_they_are_to_the_bit(head: HeadConfig) -> None:
    network = network_with(head)
    x = paddle.randn([4, 3, 32, 32])
    layer = network.standardising_head.first_layer
    expected = paddle.nn.functional.linear(paddle.to_tensor(pooled(network, x)), layer.weight, layer.bias)
    if head.type == "mlp":
        top = network.standardising_head
        expected = top.out(top.activation(expected))
    np.testing.assert_array_equal(network(x).numpy(), expected.numpy())


@HEADS
def test_features_are_centred_and_divided_by_one_number(head: HeadConfig) -> None:
    network = network_with(head)
    x = paddle.randn([4, 3, 32, 32])
    mean = np.linspace(-1, 1, WIDTH)
    network.set_feature_statistics(mean, 2.5)
    standardised = paddle.to_tensor(((pooled(network, x) - mean) / 2.5).astype(np.float32))
    plain = network_with(head)
    plain.set_state_dict({**network.state_dict(), **fresh(network)})
    with plain.starting_at(len(plain.stage_names)):
        np.testing.assert_allclose(network(x).numpy(), plain(standardised).numpy(), rtol=1e-4, atol=1e-6)
    assert not any("feature" in key for key in network.head_parameters())
    assert network.feature_width == WIDTH


def fresh(network: StagedNetwork) -> dict[str, paddle.Tensor]:
    values = {"feature_mean": 0.0, "feature_scale": 1.0}
    state = network.state_dict().items()
    return {k: paddle.full_like(v, values[k.split(".")[-1]]) for k, v in state if k.split(".")[-1] in values}


@HEADS
def test_statistics_are_saved_with_the_weights(head: HeadConfig, tmp_path: Path) -> None:
    network, again = network_with(head), network_with(head)
    network.set_feature_statistics(np.full(WIDTH, 0.25), 3.0)
    write_weights(network.state_dict(), tmp_path / "best.pdparams")
    load_weights(again, tmp_path / "best.pdparams")
    x = paddle.randn([2, 3, 32, 32])
    np.testing.assert_array_equal(again(x).numpy(), network(x).numpy())


@HEADS
def test_a_file_without_statistics_means_features_as_they_are(head: HeadConfig, tmp_path: Path) -> None:
    network, again = network_with(head), network_with(head)
    arrays = {key: value for key, value in network.state_dict().items() if "feature_" not in key}
    write_weights(arrays, tmp_path / "older.pdparams")
    again.set_feature_statistics(np.ones(WIDTH), 3.0)
    assert load_weights(again, tmp_path / "older.pdparams") == len(arrays)
    x = paddle.randn([2, 3, 32, 32])
    np.testing.assert_array_equal(again(x).numpy(), network(x).numpy())


def test_half_of_the_statistics_is_a_damaged_file(tmp_path: Path) -> None:
    network = network_with(HeadConfig())
    write_weights({k: v for k, v in network.state_dict().items() if "scale" not in k}, tmp_path / "half.pdparams")
    with pytest.raises(WeightsError, match=r"1 missing \(fc\.feature_scale\)"):
        load_weights(network, tmp_path / "half.pdparams")


def test_a_backbone_loads_whatever_its_head_was(tmp_path: Path) -> None:
    network = network_with(HeadConfig())
    network.set_feature_statistics(np.ones(WIDTH), 3.0)
    write_weights(network.state_dict(), tmp_path / "best.pdparams")
    other = create_network(NAME, 7, pretrained=tmp_path / "best.pdparams")
    assert other.state_dict()["fc.feature_scale"].item() == 1
    assert not any("feature_" in key for key in read_weights(tmp_path / "best.pdparams") if not key.startswith("fc."))


@pytest.mark.parametrize(
    ("mean", "scale"),
    [
        (np.zeros(3), 1.0),
        (np.zeros(WIDTH), 0.0),
        (np.zeros(WIDTH), math.nan),
        (np.full(WIDTH, math.inf), 1.0),
    ],
)
def test_statistics_that_do_not_fit_are_refused(mean: np.ndarray, scale: float) -> None:
    with pytest.raises(NetworkError, match=r"features"):
        network_with(HeadConfig()).set_feature_statistics(mean, scale)


def test_other_heads_have_none() -> None:
    for network in (create_network(NAME), network_with(HeadConfig(type="cosine"))):
        assert network.standardising_head is None
        assert not any("feature_" in key for key in network.state_dict())
        with pytest.raises(NetworkError, match="does not standardise"):
            network.set_feature_statistics(np.zeros(WIDTH), 1.0)
    auxiliary = create_network("googlenet", 3).auxiliary_state()
    assert auxiliary
    assert not any("feature_" in key for key in auxiliary)


@HEADS
def test_a_head_is_fresh_until_it_learns(head: HeadConfig) -> None:
    network = network_with(head)
    assert network.standardising_head.is_fresh
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    paddle.nn.functional.cross_entropy(network(paddle.randn([4, 3, 32, 32])), paddle.to_tensor([0, 1, 2, 0])).backward()
    optimizer.step()
    assert not network.standardising_head.is_fresh


def test_dropout_puts_the_mean_in_place_of_a_feature() -> None:
    head = network_with(HeadConfig(dropout=0.5)).standardising_head
    head.set_feature_statistics(np.full(WIDTH, 7.0), 1.0)
    head.train()
    np.testing.assert_array_equal(head(paddle.full([3, WIDTH], 7.0)).numpy(), np.zeros((3, 3)))
