"""BatchNorm that keeps the statistics of pretraining while its weights learn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn

from toolkit.data import Preprocessing
from toolkit.deploy import Predictor, export_model
from toolkit.zoo import StagedNetwork, create_network
from toolkit.zoo.sync_batch_norm import BATCH_NORMS

NETWORKS = ("resnet18", "mobilenet_v2", "densenet121")  # in the last one statistics are parameters
SIDE = 64


def trained_statistics(name: str) -> StagedNetwork:
    """A network whose statistics differ from the initial ones."""
    network = create_network(name, 3, image_size=SIDE)
    rng = np.random.default_rng(1)
    for layer in batch_norms(network):
        layer._mean.set_value(rng.normal(0, 0.1, layer._mean.shape).astype(np.float32))
        layer._variance.set_value(rng.uniform(0.5, 1.5, layer._variance.shape).astype(np.float32))
    return network


def batch_norms(network: nn.Layer) -> list[nn.Layer]:
    return [layer for layer in network.sublayers() if isinstance(layer, BATCH_NORMS)]


def images(count: int = 4, seed: int = 0) -> paddle.Tensor:
    return paddle.to_tensor(np.random.default_rng(seed).normal(0, 2, (count, 3, SIDE, SIDE)).astype(np.float32))


def state(network: StagedNetwork) -> dict[str, np.ndarray]:
    return {key: value.numpy().copy() for key, value in network.state_dict().items()}


def step(network: StagedNetwork) -> set[str]:
    """Make two updates and return the keys of what has changed."""
    before = state(network)
    optimizer = paddle.optimizer.Adam(0.001, parameters=[p for p in network.parameters() if not p.stop_gradient])
    network.train()
    for seed in range(2):
        loss = nn.functional.cross_entropy(network(images(seed=seed)), paddle.to_tensor([0, 1, 2, 0]))
        loss.backward()
        optimizer.step()
        network.clear_gradients()
    return {key for key, value in state(network).items() if not np.array_equal(value, before[key])}


def is_statistic(key: str) -> bool:
    return key.endswith(("._mean", "._variance"))


def learning(network: StagedNetwork) -> set[str]:
    """All keys except statistics, including those of the head's features."""
    return {key for key in network.state_dict() if not is_statistic(key) and "feature_" not in key}


@pytest.mark.parametrize("name", NETWORKS)
def test_statistics_stay_fixed_while_weights_of_batch_norm_learn(name: str) -> None:
    network = trained_statistics(name)
    network.keep_statistics(True)
    moved = step(network)
    assert not [key for key in moved if is_statistic(key)]
    assert moved == learning(network)


def test_without_it_statistics_move() -> None:
    network = trained_statistics("resnet18")
    assert {key for key in step(network) if is_statistic(key)} == {key for key in state(network) if is_statistic(key)}
    network.keep_statistics(True)
    network.keep_statistics(False)
    assert all(layer.training for layer in batch_norms(network))
    assert any(is_statistic(key) for key in step(network))


@pytest.mark.parametrize("name", NETWORKS)
def test_training_and_evaluation_are_the_same_network(name: str) -> None:
    network, x = trained_statistics(name), images()
    for layer in network.sublayers():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    network.train()
    network.keep_statistics(True)  # takes effect without another call of train
    training = network(x).numpy()
    network.eval()
    np.testing.assert_allclose(network(x).numpy(), training, rtol=1e-5, atol=1e-5)
    network.keep_statistics(False)
    network.train()
    assert np.abs(network(x).numpy() - training).max() > 1e-3


@pytest.mark.parametrize("kind", [nn.BatchNorm, nn.BatchNorm2D])
def test_gradients_are_those_of_fixed_statistics(kind: type[nn.Layer]) -> None:
    """Statistics are constants in the backward pass too."""
    layer = kind(2)
    layer._mean.set_value(np.array([0.5, -1.0], np.float32))
    layer._variance.set_value(np.array([4.0, 0.25], np.float32))
    layer.eval()  # the effect of ``keep_statistics``
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(3, 2, 4, 4)).astype(np.float32), stop_gradient=False)
    pull = np.random.default_rng(1).normal(size=(3, 2, 4, 4)).astype(np.float32)
    (layer(x) * paddle.to_tensor(pull)).sum().backward()
    deviation = np.sqrt(np.array([4.0, 0.25]) + layer._epsilon)[:, None, None]
    normal = (x.numpy() - np.array([0.5, -1.0])[:, None, None]) / deviation
    np.testing.assert_allclose(x.grad.numpy(), pull / deviation, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.weight.grad.numpy(), (pull * normal).sum((0, 2, 3)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer.bias.grad.numpy(), pull.sum((0, 2, 3)), rtol=1e-4, atol=1e-4)


def test_freezing_afterwards_keeps_it() -> None:
    network = trained_statistics("resnet18")
    network.train()
    network.keep_statistics(True)
    for k in (4, 0, "all", "layer1.1"):
        network.freeze(k)
        assert not any(layer.training for layer in batch_norms(network))
        assert network.training
    moved = step(network)
    frozen = {key for i in range(network.frozen) for key in network.stage_state(i)}
    assert moved == learning(network) - frozen


def test_layers_that_are_no_batch_norm_are_in_training() -> None:
    network = create_network("mobilenet_v2", 3, image_size=SIDE)
    network.train()
    network.keep_statistics(True)
    assert {isinstance(layer, BATCH_NORMS) for layer in network.sublayers() if not layer.training} == {True}
    network.eval()
    network.freeze(3)
    assert not any(layer.training for layer in network.sublayers(include_self=True))


def test_layers_over_several_gpus_keep_theirs_too() -> None:
    network = trained_statistics("resnet18")
    network.keep_statistics(True)
    network.synchronise_batch_norm()  # would fail if called: a CPU has no kernel for it
    assert not any(is_statistic(key) for key in step(network))


def test_the_export_is_the_network(tmp_path: Path) -> None:
    network = trained_statistics("mobilenet_v1_x0_25")
    network.keep_statistics(True)
    step(network)
    settings = {
        "preprocessing": Preprocessing(SIDE, 1.0).to_dict(),
        "network_name": "mobilenet_v1_x0_25",
        "image_size": SIDE,
    }
    folder = export_model(network, tmp_path / "export", classes=("a", "b", "c"), **settings)
    assert network.training
    assert not any(layer.training for layer in batch_norms(network))
    expected = nn.functional.softmax(network(images())).numpy()  # in training: without dropout it is the same
    np.testing.assert_allclose(Predictor(folder).outputs(images().numpy()), expected, atol=1e-5)
