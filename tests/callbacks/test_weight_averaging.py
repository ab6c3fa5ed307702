"""Averages of weights, by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import paddle
import pytest
from paddle import nn

from toolkit.callbacks import WeightAveraging, swapped_weights
from toolkit.callbacks.weight_averaging import moving_arrays
from toolkit.core.errors import ConfigError
from toolkit.zoo import create_network

LOSSES = [0.5, 0.4, 0.3, 0.2]
"""Four epochs of three steps; the scripted weights are 1, 2, 3, ... after each step, and 0 before (see ``run``)."""


def weight(averaging: WeightAveraging) -> float:
    averages = averaging.averaged_weights()
    assert averages is not None
    assert set(averages) == {"weight", "bias"}
    values = np.unique(averages["weight"])
    assert len(values) == 1
    return float(values[0])


def by_hand(steps: int, decay: float, start: float = 0.0, first: int = 1) -> float:
    average = start
    for n in range(steps):
        share = min(decay, (1 + n) / (10 + n))
        average = share * average + (1 - share) * (first + n)
    return average


class Net(nn.Layer):
    """A convolution with BatchNorm below a head, and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(1, 2, 1)
        self.bn = nn.BatchNorm2D(2)
        self.bare = nn.BatchNorm2D(2, weight_attr=False, bias_attr=False)
        self.head = nn.Linear(2, 2)
        self.head.register_buffer("count", paddle.to_tensor([1], dtype="int64"))
        self.head.register_buffer("scale", paddle.to_tensor([2.0]))


def test_ema_of_three_steps(run: Any) -> None:
    averaging = WeightAveraging("ema", decay=0.999)
    run([averaging], LOSSES[:1])
    # shares 1/10, 2/11, 3/12: 0.9; 0.9 + 9/11 (2 - 0.9) = 1.8; 1.8 + 3/4 (3 - 1.8) = 2.7
    assert weight(averaging) == pytest.approx(2.7)
    assert by_hand(3, 0.999) == pytest.approx(2.7)
    assert averaging.updates == 3


def test_the_decay_bounds_the_share(run: Any) -> None:
    averaging = WeightAveraging("ema", decay=0.15)
    run([averaging], LOSSES[:1])
    assert weight(averaging) == pytest.approx(0.15 * (0.15 * 0.9 + 0.85 * 2) + 0.85 * 3)


def test_ema_from_a_later_epoch_starts_from_the_weights_there(run: Any) -> None:
    averaging = WeightAveraging("ema", decay=0.5, start_epoch=2)
    seen = []
    run([averaging], LOSSES, watch=lambda position, model: seen.append(averaging.averaged_weights() is None))
    assert seen == [True] * 8 + [False] * 8
    assert weight(averaging) == pytest.approx(by_hand(6, 0.5, start=6, first=7))


def test_mean_of_the_last_epochs(run: Any) -> None:
    averaging = WeightAveraging("last", last=3)
    seen = {}
    run([averaging], LOSSES, watch=lambda position, model: seen.update({position: averaging.averaged_weights()}))
    assert seen[4] is None  # one epoch: the weights themselves
    assert seen[8] is not None
    assert seen[8]["weight"][0, 0] == (3 + 6) / 2
    assert weight(averaging) == (6 + 9 + 12) / 3


def test_mean_from_a_later_epoch(run: Any) -> None:
    averaging = WeightAveraging("last", last=5, start_epoch=2)
    run([averaging], LOSSES)
    assert weight(averaging) == (9 + 12) / 2


@pytest.mark.parametrize("kind", ["ema", "last"])
def test_used_again_it_starts_anew(kind: Any, run: Any) -> None:
    averaging = WeightAveraging(kind, last=2)
    run([averaging], LOSSES)
    first = weight(averaging)
    run([averaging], LOSSES)
    assert weight(averaging) == first


class _Stop(Exception):
    pass


@pytest.mark.parametrize("kind", ["ema", "last"])
@pytest.mark.parametrize("position", range(1, 16))
def test_resumed_anywhere_it_ends_with_the_same_bits(kind: Any, position: int, run: Any, make_model: Any) -> None:
    whole = WeightAveraging(kind, last=2, start_epoch=1)
    run([whole], LOSSES)
    saved: dict[str, Any] = {}
    broken = WeightAveraging(kind, last=2, start_epoch=1)

    def stop(now: int, model: paddle.Model) -> None:
        if now == position:
            saved.update(state=broken.state_dict(), arrays=broken.arrays(), weights=model.network.state_dict())
            raise _Stop

    with pytest.raises(_Stop):
        run([broken], LOSSES, watch=stop)
    model = make_model()
    model.network.set_state_dict(saved["weights"])
    resumed = WeightAveraging(kind, last=2, start_epoch=1)
    resumed.set_state_dict(saved["state"])
    resumed.set_arrays(saved["arrays"])
    run([resumed], LOSSES, model=model, first=position // 4, done=position % 4)
    assert resumed.state_dict() == whole.state_dict()
    for key, array in (whole.averaged_weights() or {}).items():
        assert (resumed.averaged_weights() or {})[key].tobytes() == array.tobytes()


def test_arrays_are_copies(run: Any) -> None:
    averaging = WeightAveraging("ema")
    run([averaging], LOSSES[:1])
    arrays = averaging.arrays()
    assert set(arrays) == {"0/weight", "0/bias"}
    arrays["0/weight"][:] = 99
    assert weight(averaging) == pytest.approx(2.7)


def test_what_moves() -> None:
    network = Net()
    assert set(moving_arrays(network)) == set(network.state_dict()) - {"head.count"}
    for parameter in (*network.conv.parameters(), *network.bn.parameters()):
        parameter.stop_gradient = True
    moving = set(moving_arrays(network))
    assert moving == {"bare._mean", "bare._variance", "head.weight", "head.bias", "head.scale"}
    assert moving_arrays(network)["head.weight"] is network.head.weight


def test_a_frozen_stage_of_the_zoo_is_left_alone() -> None:
    network = create_network("resnet18", 3)
    network.freeze("layer4.0")
    frozen = {key for i in range(network.resolve("layer4.0")) for key in network.stage_state(i)}
    moving = set(moving_arrays(network))
    assert not moving & frozen
    assert moving == set(network.state_dict()) - frozen
    assert "layer4.1.bn2._variance" in moving


@pytest.mark.parametrize("kind", ["ema", "last"])
def test_batch_norm_statistics_are_averaged_and_constants_stay_exact(kind: Any) -> None:
    network = Net()
    network.conv.weight.set_value(np.array([0.1, 1 / 3], "float32").reshape(2, 1, 1, 1))
    averaging = WeightAveraging(kind, last=3)
    averaging.set_model(paddle.Model(network))
    averaging.on_train_begin()
    for epoch in range(3):
        averaging.on_epoch_begin(epoch)
        network.bn._mean.set_value(paddle.full([2], float(epoch + 1)))
        averaging.on_train_batch_end(0)
        averaging.on_epoch_end(epoch)
    averages = averaging.averaged_weights()
    assert averages is not None
    assert averages["bn._mean"] == pytest.approx([2.7] * 2 if kind == "ema" else [2.0] * 2)
    assert averages["conv.weight"].tobytes() == network.conv.weight.numpy().tobytes()


def test_what_moves_later_counts_as_having_stood_still() -> None:
    """Two phases: the head alone, then everything."""
    results = []
    for stands_still_by_freezing in (True, False):
        network = Net()
        network.conv.weight.set_value(np.full((2, 1, 1, 1), 5.0, "float32"))
        averaging = WeightAveraging("last", last=4)
        averaging.set_model(paddle.Model(network))
        averaging.on_train_begin()
        for epoch in range(4):
            network.conv.weight.stop_gradient = network.conv.bias.stop_gradient = epoch < 2 and stands_still_by_freezing
            averaging.on_epoch_begin(epoch)
            network.head.weight.set_value(np.full((2, 2), float(epoch), "float32"))
            if epoch >= 2:
                network.conv.weight.set_value(np.full((2, 1, 1, 1), 7.0, "float32"))
            averaging.on_epoch_end(epoch)
        averages = averaging.averaged_weights()
        assert averages is not None
        results.append((averages["conv.weight"][0, 0, 0, 0], averages["head.weight"][0, 0]))
    assert results == [(6.0, 1.5)] * 2


def test_what_moves_no_more_is_the_weight_itself() -> None:
    network = Net()
    averaging = WeightAveraging("ema")
    averaging.set_model(paddle.Model(network))
    averaging.on_train_begin()
    averaging.on_epoch_begin(0)
    averaging.on_train_batch_end(0)
    network.conv.weight.stop_gradient = network.conv.bias.stop_gradient = True
    averaging.on_epoch_begin(1)
    averaging.on_train_batch_end(0)
    averages = averaging.averaged_weights()
    assert averages is not None
    assert "conv.weight" not in averages
    assert "head.weight" in averages


def test_half_precision_is_averaged_in_single() -> None:
    network = nn.Linear(1, 1)
    network.to(dtype="bfloat16")
    averaging = WeightAveraging("ema", decay=0.999)
    averaging.set_model(paddle.Model(network))
    averaging.on_train_begin()
    network.weight.set_value(paddle.to_tensor([[256.0]]).astype("bfloat16"))
    averaging.on_epoch_begin(0)
    averaging.updates = 10**6
    network.weight.set_value(paddle.to_tensor([[258.0]]).astype("bfloat16"))
    averaging.on_train_batch_end(0)
    averages = averaging.averaged_weights()
    assert averages is not None
    assert averages["weight"].dtype == np.float32
    assert averages["weight"][0, 0] == pytest.approx(256.002)  # in bfloat16 it would not have moved
    with swapped_weights(network, {"weight": np.array([[300.0]], "float32")}):
        assert network.weight.dtype == paddle.bfloat16
        assert network.weight.astype("float32").item() == 300.0
    assert network.weight.astype("float32").item() == 258.0


def test_swapped_weights_come_back_to_the_bit_also_after_an_error() -> None:
    network = create_network("squeezenet1_1", 3)
    before = {key: value.numpy().tobytes() for key, value in network.state_dict().items()}
    other = {key: value.numpy() + 1 for key, value in network.state_dict().items()}
    with pytest.raises(RuntimeError), swapped_weights(network, other):
        assert all((network.state_dict()[key].numpy() == value).all() for key, value in other.items())
        raise RuntimeError
    assert {key: value.numpy().tobytes() for key, value in network.state_dict().items()} == before
    with pytest.raises(KeyError), swapped_weights(network, {**other, "no.such": np.zeros(1, "float32")}):
        pass
    assert {key: value.numpy().tobytes() for key, value in network.state_dict().items()} == before


@pytest.mark.parametrize(
    ("keep", "raw", "average", "mode", "expected"),
    [
        ("raw", 1.0, 0.0, "min", False),
        ("average", 0.0, 1.0, "min", True),
        ("better", 1.0, 0.9, "min", True),
        ("better", 1.0, 0.9, "max", False),
        ("better", 0.5, 0.6, "max", True),
        ("better", 0.5, 0.5, "max", False),
        ("better", math.nan, 0.5, "min", True),
        ("better", 0.5, math.nan, "min", False),
        ("better", math.nan, math.inf, "min", False),
    ],
)
def test_which_of_the_two_is_kept(keep: Any, raw: float, average: float, mode: Any, expected: bool) -> None:
    assert WeightAveraging(keep=keep).keeps_average(raw, average, mode) is expected


@pytest.mark.parametrize(
    "arguments",
    [{"kind": "swa"}, {"decay": 1.0}, {"decay": 0.0}, {"last": 1}, {"start_epoch": -1}, {"keep": "best"}],
)
def test_arguments_out_of_range(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="WeightAveraging"):
        WeightAveraging(**arguments)
