"""A step: parts of a batch add up, and a device with too little memory gets smaller parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.config import TrainConfig
from toolkit.core.errors import TrainingError
from toolkit.data import Batch
from toolkit.engine.learning.objective import make_objective
from toolkit.engine.learning.step import TrainingStep
from toolkit.zoo import StagedNetwork, create_network


def network_and_batch() -> tuple[StagedNetwork, Batch]:
    paddle.seed(3)
    network = create_network("squeezenet1_1", 4, image_size=64)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(6, 3, 64, 64)).astype(np.float32)
    return network, Batch(inputs, np.array([0, 1, 2, 3, 0, 1]), np.arange(6))


def stepped(train: TrainConfig, weights: np.ndarray | None = None) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    network, batch = network_and_batch()
    network.eval()  # no dropout, which depends on the part
    network.train = lambda mode=True: network  # type: ignore[method-assign]
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    objective = make_objective("classification", image_weights=weights)
    found, count, asked = TrainingStep(network, objective, optimizer, train).step(batch)
    assert (count, asked) == (6, False)
    return found, {key: value.numpy() for key, value in network.state_dict().items()}


@pytest.mark.parametrize("parts", [2, 3, 4, 6])
@pytest.mark.parametrize("weights", [None, np.array([1, 0, 2, 1, 3, 0.5], np.float32)], ids=["plain", "weighted"])
def test_parts_give_the_update_of_the_whole(parts: int, weights: np.ndarray | None) -> None:
    whole, expected = stepped(TrainConfig(), weights)
    found, state = stepped(TrainConfig(accumulate=parts), weights)
    assert found == pytest.approx(whole, rel=1e-6)
    for key, value in expected.items():
        np.testing.assert_allclose(state[key], value, rtol=1e-5, atol=1e-7, err_msg=key)


def test_out_of_memory_makes_more_parts(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    network, batch = network_and_batch()
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    training_step = TrainingStep(network, make_objective("classification"), optimizer, TrainConfig())
    real, sizes = network.forward, []

    def small_device(x: paddle.Tensor) -> Any:
        sizes.append(x.shape[0])
        if x.shape[0] > 2:
            raise MemoryError("ResourceExhaustedError: Out of memory error on GPU 0")
        return real(x)

    monkeypatch.setattr(network, "forward", small_device)
    monkeypatch.setattr(paddle.device.cuda, "empty_cache", lambda: None)
    training_step.step(batch)
    training_step.step(batch)
    assert sizes == [6, 3, 2, 2, 1, 1, 2, 2, 1, 1]
    assert "in 4 parts" in capsys.readouterr().err


def test_a_device_too_small_for_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = network_and_batch()
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    training_step = TrainingStep(network, make_objective("classification"), optimizer, TrainConfig())

    def no_memory(x: paddle.Tensor) -> None:
        raise RuntimeError("Out of memory")

    monkeypatch.setattr(network, "forward", no_memory)
    monkeypatch.setattr(paddle.device.cuda, "empty_cache", lambda: None)
    with pytest.raises(TrainingError, match="too little memory for 1 image"):
        training_step.step(batch)


def test_a_batch_without_weight_is_refused() -> None:
    with pytest.raises(TrainingError, match="weight 0"):
        stepped(TrainConfig(), np.zeros(6, np.float32))


def test_several_processes_do_not_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    network, batch = network_and_batch()
    optimizer = paddle.optimizer.SGD(0.1, parameters=network.parameters())
    training_step = TrainingStep(network, make_objective("classification"), optimizer, TrainConfig())

    def no_memory(x: paddle.Tensor) -> None:
        monkeypatch.setattr("toolkit.engine.learning.step.world_size", lambda: 2)
        raise RuntimeError("Out of memory")

    monkeypatch.setattr(network, "forward", no_memory)
    with pytest.raises(TrainingError, match="too little memory for 6 image") as caught:
        training_step.step(batch)
    assert "train.accumulate" in str(caught.value.hint)
