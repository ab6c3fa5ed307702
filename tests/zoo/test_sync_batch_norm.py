"""BatchNorm over several GPUs: which layers are synchronised, and nothing else changes. A CPU has no kernel for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

import toolkit.zoo.sync_batch_norm as module
from toolkit.zoo import StagedNetwork, create_network
from toolkit.zoo.sync_batch_norm import is_synchronised, synchronise

KINDS = (nn.BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D, nn.BatchNorm3D)
NETWORKS = ("resnet18", "mobilenet_v2", "densenet121")  # in the last one BatchNorm has an activation


def batch_norms(network: nn.Layer) -> list[nn.Layer]:
    return [layer for layer in network.sublayers() if isinstance(layer, KINDS)]


def run_by(network: StagedNetwork, frozen: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], np.ndarray]:
    """Return the layers that synchronise statistics, and the outputs with those of one process."""
    asking: list[int] = []

    def alone(layer: Any, x: paddle.Tensor) -> paddle.Tensor:
        asking.append(id(layer))
        return nn.functional.batch_norm(
            x, layer._mean, layer._variance, layer.weight, layer.bias, True, layer._momentum, layer._epsilon
        )

    monkeypatch.setattr(module, "_normalise", alone)
    network.freeze(frozen)
    network.train()
    x = paddle.to_tensor(np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32))
    return asking, network(x).numpy()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_in_training_and_nothing_else(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = create_network(name, 3, image_size=64)
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    plain = run_by(network, 0, monkeypatch)
    network.set_state_dict(before)

    assert network.synchronise_batch_norm() == len(batch_norms(network)) > 0
    assert all(is_synchronised(layer) for layer in batch_norms(network))
    after = {key: value.numpy() for key, value in network.state_dict().items()}
    assert list(before) == list(after)
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert {id(each) for each in optimizer._parameter_list} == {id(each) for each in network.parameters()}

    asking, outputs = run_by(network, 0, monkeypatch)
    assert not plain[0]
    assert sorted(asking) == sorted(id(layer) for layer in batch_norms(network))
    np.testing.assert_array_equal(outputs, plain[1])


def test_frozen_stages_and_evaluation_do_not_synchronise(monkeypatch: pytest.MonkeyPatch) -> None:
    network = create_network("resnet18", 3, image_size=64)
    network.synchronise_batch_norm()
    everywhere = len(batch_norms(network))
    some, _ = run_by(network, len(network.stage_names) - 1, monkeypatch)
    assert 0 < len(some) < everywhere
    assert not run_by(network, len(network.stage_names), monkeypatch)[0]
    network.freeze(0)
    network.eval()
    before = network.state_dict()["bn1._mean"].numpy().copy()
    network(paddle.ones([2, 3, 64, 64]))
    np.testing.assert_array_equal(network.state_dict()["bn1._mean"].numpy(), before)


def test_twice_is_once() -> None:
    network = create_network("resnet18", 3)
    count = network.synchronise_batch_norm()
    kinds = [type(layer) for layer in network.sublayers()]
    assert network.synchronise_batch_norm() == count
    assert [type(layer) for layer in network.sublayers()] == kinds


@pytest.mark.parametrize("layer", [nn.BatchNorm1D(4), nn.BatchNorm2D(4), nn.BatchNorm2D(4, weight_attr=False)])
def test_what_the_kernel_is_given(layer: nn.Layer, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def kernel(*arguments: Any) -> tuple[Any, ...]:
        given.extend(arguments)
        return (arguments[0],)

    monkeypatch.setattr(module._C_ops, "sync_batch_norm_", kernel)
    synchronise(layer)
    x = paddle.ones([2, 4] if isinstance(layer, nn.BatchNorm1D) else [2, 4, 3, 3])
    assert layer(x) is x
    assert given[1] is layer._mean
    assert given[2] is layer._variance
    assert given[3].shape == given[4].shape == [4]
    assert given[5:] == [False, 0.9, 1e-5, "NCHW", False, False]
