"""The pull towards pretrained weights, and optimizers that leave decay to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.config import Config, TrainConfig
from toolkit.engine import Trainer, build_job
from toolkit.engine.learning.l2_sp import L2SP
from toolkit.engine.learning.optimizer import make_optimizer
from toolkit.zoo import StagedNetwork, create_network

Make = Callable[..., Config]


@pytest.fixture
def network() -> StagedNetwork:
    paddle.seed(1)
    return create_network("lenet", 3, image_size=28)


def backbone(network: StagedNetwork) -> dict[str, paddle.Tensor]:
    return {key: each for i in range(len(network.stage_names)) for key, each in network.stage_parameters(i).items()}


def test_the_gradient_is_that_of_the_penalty(network: StagedNetwork) -> None:
    pull = L2SP(network, 0.3)
    start = {key: value.numpy().copy() for key, value in backbone(network).items()}
    network.freeze(1)
    for parameter in network.parameters():
        parameter.set_value(parameter + 0.01 * paddle.randn(parameter.shape))
    x = paddle.randn([2, 1, 28, 28])
    network(x).sum().backward()
    before = {key: value.grad.numpy().copy() for key, value in network.named_parameters() if value.grad is not None}
    pull.add_gradient()
    inside = set(backbone(network))
    frozen = set(network.stage_parameters(0))
    moved = 0
    for key, value in network.named_parameters():
        if key in frozen:
            assert value.grad is None
        elif key in inside:
            expected = before[key] + 0.3 * (value.numpy() - start[key])
            assert value.grad.numpy() == pytest.approx(expected, rel=1e-5, abs=1e-7)
            moved += 1
        else:
            assert np.array_equal(value.grad.numpy(), before[key])
    assert moved > 2
    distance = sum(((backbone(network)[key].numpy() - start[key]) ** 2).sum() for key in inside - frozen)
    assert pull.penalty() == pytest.approx(0.15 * distance, rel=1e-4)


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_only_the_head_decays(network: StagedNetwork, name: str) -> None:
    L2SP(network, 0.1)
    optimizer = make_optimizer(name, TrainConfig(weight_decay=0.5, l2_sp=0.1), network, 0.1)
    before = {key: value.numpy().copy() for key, value in network.named_parameters()}
    for parameter in network.parameters():
        (parameter * 0).sum().backward()
    optimizer.step()
    head = set(network.head_parameters())
    for key, value in network.named_parameters():
        same = np.array_equal(value.numpy(), before[key])
        assert same == (key not in head or not before[key].any()), key


def test_gradients_are_clipped_by_value(network: StagedNetwork) -> None:
    optimizer = make_optimizer("sgd", TrainConfig(weight_decay=0, clip_value=0.01), network, 1.0)
    before = {key: value.numpy().copy() for key, value in network.named_parameters()}
    (network(paddle.randn([2, 1, 28, 28])).sum() * 100).backward()
    optimizer.step()
    steps = np.concatenate([(before[key] - value.numpy()).ravel() for key, value in network.named_parameters()])
    assert abs(steps).max() == pytest.approx(0.01, rel=1e-3)


def distance(trainer: Trainer) -> float:
    start = {key: value.numpy() for key, value in backbone(build_job(trainer.job.config).network).items()}
    return float(sum(((trainer.state.weights[key] - start[key]) ** 2).sum() for key in start))


def test_a_pulled_run_stays_nearer_to_its_start(make: Make) -> None:
    found: dict[Any, float] = {}
    for strength in (0.0, 300.0):
        train = {"l2_sp": strength, "epochs": 2, "optimizer": "sgd", "lr": 0.01, "weight_decay": 0.0}
        transfer = {"preset": "all_stages", "backbone_lr": 0.1}
        trainer = Trainer.from_config(make(name=f"pull{strength}", transfer=transfer, train=train))
        trainer.fit()
        found[strength] = distance(trainer)
    assert 0 < found[300.0] < 0.9 * found[0.0]
