"""New heads."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError
from toolkit.zoo import create_network, load_weights, write_weights
from toolkit.zoo.head import CosineHead, LinearHead, MLPHead, build_head


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


@pytest.mark.parametrize("kind", ["linear", "mlp", "cosine"])
def test_first_loss_is_that_of_a_uniform_guess(kind: str) -> None:
    head = build_head(HeadConfig(type=kind), 1280, 10)
    features = paddle.nn.functional.relu(paddle.randn([64, 1280]))
    loss = paddle.nn.functional.cross_entropy(head(features), paddle.randint(0, 10, [64]))
    assert loss.item() == pytest.approx(math.log(10), abs=0.15)


@pytest.mark.parametrize("head", [LinearHead(64, 3, 0.5), MLPHead(64, 3, (32,), "tanh", 0.5), CosineHead(64, 3, 0.5)])
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


def test_a_cosine_head_gives_scaled_cosines() -> None:
    head = build_head(HeadConfig(type="cosine"), 16, 4)
    assert isinstance(head, CosineHead)
    x = paddle.randn([5, 16])
    w = head.weight.numpy()
    cosines = x.numpy() @ w / np.linalg.norm(x.numpy(), axis=1, keepdims=True) / np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(head(x).numpy(), 10 * cosines, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head(x * 1000).numpy(), head(x).numpy(), rtol=1e-4, atol=1e-5)


def test_a_cosine_head_learns_its_scale_and_survives_features_of_zero() -> None:
    network = create_network("mobilenet_v1_x0_25", 4, head=HeadConfig(type="cosine"))
    assert {k: tuple(p.shape) for k, p in network.head_parameters().items()} == {
        "fc.weight": (256, 4),
        "fc.scale": (1,),
    }
    x = paddle.zeros([2, 256])
    x.stop_gradient = False
    head = CosineHead(256, 4)
    paddle.nn.functional.cross_entropy(head(x), paddle.to_tensor([0, 1])).backward()
    assert (head(x).numpy() == 0).all()
    assert all(np.isfinite(value.grad.numpy()).all() for value in (x, head.weight, head.scale))


@pytest.mark.parametrize(
    ("config", "path"), [(HeadConfig(), "fc"), (HeadConfig(type="mlp", hidden=(8,)), "fc.out")], ids=["linear", "mlp"]
)
def test_outputs_of_regression_are_in_the_targets_units(config: HeadConfig, path: str, tmp_path: Path) -> None:
    network = create_network("resnet18", 2, head=config, task="regression")
    network.eval()
    x = paddle.randn([3, 3, 32, 32])
    standardised = network(x).numpy()
    network.set_target_statistics(np.array([100.0, -2.0]), [20.0, 0.5])
    np.testing.assert_allclose(network(x).numpy(), standardised * [20.0, 0.5] + [100.0, -2.0], rtol=1e-5)
    state = network.state_dict()
    assert state[f"{path}.target_mean"].numpy().tolist() == [100.0, -2.0]
    assert state[f"{path}.target_std"].numpy().tolist() == [20.0, 0.5]
    assert not any("target" in key for key in network.head_parameters())
    write_weights(state, tmp_path / "best.pdparams")
    again = create_network("resnet18", 2, head=config, task="regression")
    load_weights(again, tmp_path / "best.pdparams")
    again.eval()
    np.testing.assert_array_equal(again(x).numpy(), network(x).numpy())
    create_network("resnet18", 2, pretrained=tmp_path / "best.pdparams")  # a source for another task


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ([0.0], [1.0], r"do not match 2 targets"),
        ([0.0, 1.0], [1.0, 0.0], "std > 0"),
        ([0.0, math.nan], [1.0, 1.0], "expected numbers"),
    ],
)
def test_statistics_that_do_not_fit_are_refused(mean: list[float], std: list[float], says: str) -> None:
    network = create_network("lenet", 2, task="regression")
    with pytest.raises(NetworkError, match=says):
        network.set_target_statistics(mean, std)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_only_regression_has_target_statistics(task: str) -> None:
    network = create_network("lenet", 2, task=task)
    assert not any("target" in key for key in network.state_dict())
    with pytest.raises(NetworkError, match="is not for regression"):
        network.set_target_statistics([0.0, 0.0], [1.0, 1.0])


def test_incompatible_options() -> None:
    with pytest.raises(NetworkError, match="directions"):
        create_network("lenet", 2, head=HeadConfig(type="cosine"), task="regression")
    with pytest.raises(NetworkError, match="number of classes"):
        create_network("lenet", task="regression")
