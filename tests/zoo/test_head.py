"""New heads."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.zoo import create_network
from toolkit.zoo.head import LinearHead, MLPHead, build_head


def test_a_linear_head_keeps_the_networks_keys() -> None:
    network = create_network("resnet18", num_classes=5, head=HeadConfig(dropout=0.3))
    assert set(network.head_parameters()) == {"fc.weight", "fc.bias"}
    assert list(network.head_parameters()["fc.weight"].shape) == [512, 5]


def test_an_mlp_head_has_its_hidden_layers() -> None:
    network = create_network("mobilenet_v2", num_classes=5, head=HeadConfig(type="mlp", hidden=(32, 16)))
    shapes = {key: tuple(p.shape) for key, p in network.head_parameters().items()}
    assert shapes == {
        "classifier.1.hidden.0.weight": (1280, 32),
        "classifier.1.hidden.0.bias": (32,),
        "classifier.1.hidden.1.weight": (32, 16),
        "classifier.1.hidden.1.bias": (16,),
        "classifier.1.out.weight": (16, 5),
        "classifier.1.out.bias": (5,),
    }
    network.eval()
    assert network(paddle.randn([2, 3, 32, 32])).shape == [2, 5]


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_first_loss_is_that_of_a_uniform_guess(kind: str) -> None:
    head = build_head(HeadConfig(type=kind), 1280, 10)
    features = paddle.nn.functional.relu(paddle.randn([64, 1280]))
    loss = paddle.nn.functional.cross_entropy(head(features), paddle.randint(0, 10, [64]))
    assert loss.item() == pytest.approx(math.log(10), abs=0.15)


@pytest.mark.parametrize("head", [LinearHead(64, 3, 0.5), MLPHead(64, 3, (32,), "tanh", 0.5)])
def test_dropout_scales_up_in_training_and_does_nothing_in_evaluation(head: paddle.nn.Layer) -> None:
    x = paddle.ones([1, 64])
    head.eval()
    np.testing.assert_array_equal(head(x).numpy(), head(x).numpy())
    head.train()
    assert (head(x).numpy() != head(x).numpy()).any()


def test_dropout_keeps_the_mean() -> None:
    head = LinearHead(16, 2, 0.5)
    head.eval()
    expected = head(paddle.ones([1, 16])).numpy()
    head.train()
    mean = head(paddle.ones([20000, 16])).numpy().mean(axis=0)
    np.testing.assert_allclose(mean, expected[0], atol=2e-3)


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh", "hardswish"])
def test_every_activation_of_the_config(activation: str) -> None:
    head = build_head(HeadConfig(type="mlp", activation=activation), 8, 2)
    expected = getattr(paddle.nn.functional, activation)(head.hidden[0](paddle.ones([1, 8])))
    np.testing.assert_array_equal(head(paddle.ones([1, 8])).numpy(), head.out(expected).numpy())


def test_squeezenets_new_head_is_not_halved_at_inference() -> None:
    """The original drops out in Paddle's downscale_in_infer mode, which scales its input at inference."""
    network = create_network("squeezenet1_1", num_classes=2)
    network.eval()
    x = paddle.randn([1, 3, 32, 32])
    pooled = network.features(x, 9).mean([2, 3])
    weights = network.head_parameters()
    expected = pooled @ weights["_conv9.weight"] + weights["_conv9.bias"]
    np.testing.assert_allclose(network(x).numpy(), expected.numpy(), atol=1e-6)
