"""State of optimizers goes to another one of the same network, however many were made before."""

from __future__ import annotations

import re

import numpy as np
import paddle
import pytest
from paddle import nn

from toolkit.config import TrainConfig
from toolkit.core.errors import TrainingError
from toolkit.engine.learning.optimizer import make_optimizer, optimizer_state, restore_optimizer


def step(network: nn.Layer, optimizer: paddle.optimizer.Optimizer) -> None:
    (network(paddle.ones([2, 3])) ** 2).sum().backward()
    optimizer.step()
    optimizer.clear_grad()


@pytest.mark.parametrize("name", ["momentum", "adam", "adamw"])
@pytest.mark.parametrize("others", [0, 3])
def test_a_later_optimizer_goes_on_where_the_first_one_was(name: str, others: int) -> None:
    paddle.seed(0)
    network, train = nn.Linear(3, 2), TrainConfig()
    first = make_optimizer(name, train, network, 0.1)
    step(network, first)
    weights = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    kept = optimizer_state(first, network)
    assert {key.partition("|")[0] for key in kept} == {"weight", "bias"}
    assert not any(re.search(r"_\d+$", key) for key in kept)
    step(network, first)
    expected = network.weight.numpy().copy()
    for _ in range(others):
        step(network, make_optimizer(name, train, network, 0.1))
    network.set_state_dict(weights)
    later = make_optimizer(name, train, network, 0.1)
    restore_optimizer(later, network, kept)
    step(network, later)
    np.testing.assert_array_equal(network.weight.numpy(), expected)


def test_states_of_earlier_versions_carry_a_counter() -> None:
    network = nn.Linear(3, 2)
    optimizer = make_optimizer("momentum", TrainConfig(), network, 0.1)
    old = {f"{key}|velocity_7": np.ones(shape, "float32") for key, shape in (("weight", [3, 2]), ("bias", [2]))}
    restore_optimizer(optimizer, network, old)
    step(network, optimizer)


def test_another_network_is_refused() -> None:
    network = nn.Linear(3, 2)
    with pytest.raises(TrainingError, match=r"has other\.weight, which this network doesn't have"):
        restore_optimizer(make_optimizer("adam", TrainConfig(), network, 0.1), network, {"other.weight|m": np.ones(1)})
