"""The state of a run is saved and restored completely."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors.numpy import save_file

from toolkit.config import TrainConfig
from toolkit.core.errors import TrainingError
from toolkit.engine.learning.optimizer import make_optimizer, optimizer_state, restore_optimizer
from toolkit.engine.runs.state import TrainingState, _digest


def small_network() -> nn.Layer:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Linear(8, 3))


def step(network: nn.Layer, optimizer: paddle.optimizer.Optimizer, seed: int) -> None:
    x = paddle.to_tensor(np.random.default_rng(seed).normal(size=(6, 4)).astype("float32"))
    network(x).square().mean().backward()
    optimizer.step()
    optimizer.clear_grad()


def test_round_trip(tmp_path: Path) -> None:
    state = TrainingState(phase=1, epoch=3, best={"top1": 0.5, "epoch": 2}, callbacks={"A": {"wait": 1}})
    state.weights = {"fc.weight": np.arange(6, dtype="float32").reshape(2, 3)}
    state.optimizer = {"fc.weight|velocity_0": np.ones(2, "float32"), "fc.weight|beta1_pow": np.float32([0.9])}
    state.save(tmp_path / "last.safetensors")
    back = TrainingState.load(tmp_path / "last.safetensors")
    assert (back.phase, back.epoch, back.best, back.callbacks) == (1, 3, state.best, state.callbacks)
    for group in ("weights", "optimizer"):
        expected, found = getattr(state, group), getattr(back, group)
        assert expected.keys() == found.keys()
        assert all(np.array_equal(expected[key], found[key]) for key in expected)


@pytest.mark.parametrize("damage", ["missing", "cut", "text"])
def test_a_damaged_state_is_a_clear_error(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "last.safetensors"
    if damage != "missing":
        TrainingState(weights={"a": np.ones(1000, "float32")}).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else b"hello")
    with pytest.raises(TrainingError, match=r"last\.safetensors"):
        TrainingState.load(path)


@pytest.mark.parametrize("state", ["[" * 100_000, "[]", "{}", '{"phase": 1', "null"])
def test_a_state_made_by_hand_is_a_clear_error(tmp_path: Path, state: str) -> None:
    """Its digest is right, but its text is not what a run writes."""
    path = tmp_path / "last.safetensors"
    arrays = {"nonsense/a": np.ones(2, "float32")}
    save_file(arrays, path, metadata={"state": state, "digest": _digest(state, arrays)})
    with pytest.raises(TrainingError, match=r"last\.safetensors is not a checkpoint") as caught:
        TrainingState.load(path)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["sgd", "momentum", "adam", "adamw"])
def test_optimizer_state_fits_a_network_built_later(name: str) -> None:
    train = TrainConfig(clip_norm=1.0)
    first = small_network()
    for frozen in first[0].parameters():
        frozen.stop_gradient = True
    optimizer = make_optimizer(name, train, first, 0.05)
    for seed in range(3):
        step(first, optimizer, seed)
    weights = {key: value.numpy() for key, value in first.state_dict().items()}
    kept = optimizer_state(optimizer, first)
    step(first, optimizer, 9)

    small_network()  # advances automatic parameter names
    second = small_network()
    for frozen in second[0].parameters():
        frozen.stop_gradient = True
    second.set_state_dict(weights)
    again = make_optimizer(name, train, second, 0.05)
    restore_optimizer(again, second, kept)
    step(second, again, 9)
    for key, value in first.state_dict().items():
        assert np.array_equal(value.numpy(), second.state_dict()[key].numpy()), key


def test_optimizer_state_of_another_network_is_refused() -> None:
    network = small_network()
    with pytest.raises(TrainingError, match="nowhere"):
        restore_optimizer(
            make_optimizer("momentum", TrainConfig(), network, 0.1), network, {"nowhere|velocity_0": np.ones(1)}
        )
