"""Multipliers reach the update, in paddle.Model and in a plain loop, and can change during training."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.static import InputSpec

from toolkit.transfer import set_multipliers

OPTIMIZERS = {
    "sgd": paddle.optimizer.SGD,
    "momentum": paddle.optimizer.Momentum,
    "adam": paddle.optimizer.Adam,
    "adamw": paddle.optimizer.AdamW,
}


def _network() -> paddle.nn.Sequential:
    paddle.seed(0)
    return paddle.nn.Sequential(paddle.nn.Linear(3, 3), paddle.nn.Linear(3, 3), paddle.nn.Linear(3, 2))


def _groups(network: paddle.nn.Sequential) -> list[dict[str, paddle.Tensor]]:
    return [dict(layer.named_parameters()) for layer in network]


def _first_update(name: str, multipliers: tuple[float, float], through_model: bool) -> list[np.ndarray]:
    """The weight change of each layer after one step."""
    network = _network()
    first, second, head = _groups(network)
    set_multipliers([first, second], multipliers, head)
    optimizer = OPTIMIZERS[name](learning_rate=0.1, parameters=network.parameters(), weight_decay=0.0)
    x, y = np.random.default_rng(0).normal(size=(4, 3)).astype("float32"), np.array([0, 1, 0, 1])
    before = [layer.weight.numpy().copy() for layer in network]
    loss = paddle.nn.CrossEntropyLoss()
    if through_model:
        model = paddle.Model(network, [InputSpec([None, 3], "float32", "x")], [InputSpec([None], "int64", "y")])
        model.prepare(optimizer, loss)
        model.train_batch([x], [y])
    else:
        loss(network(paddle.to_tensor(x)), paddle.to_tensor(y)).backward()
        optimizer.step()
    return [layer.weight.numpy() - old for layer, old in zip(network, before, strict=True)]


@pytest.mark.parametrize("through_model", [True, False], ids=["paddle.Model", "plain loop"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_update_is_scaled(name: str, through_model: bool) -> None:
    full = _first_update(name, (1.0, 1.0), through_model)
    scaled = _first_update(name, (0.0, 0.1), through_model)
    assert np.abs(full[0]).max() > 1e-4
    np.testing.assert_array_equal(scaled[0], 0)
    np.testing.assert_allclose(scaled[1], 0.1 * full[1], rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(scaled[2], full[2], rtol=1e-5, atol=1e-7)


def test_multipliers_can_change_between_steps_and_follow_the_rate() -> None:
    layer = paddle.nn.Linear(1, 1, bias_attr=False)
    optimizer = paddle.optimizer.SGD(learning_rate=1.0, parameters=layer.parameters())

    def step() -> float:
        before = layer.weight.item()
        layer(paddle.ones([1, 1])).sum().backward()
        optimizer.step()
        optimizer.clear_grad()
        return before - layer.weight.item()

    set_multipliers([dict(layer.named_parameters())], [0.5])
    assert step() == pytest.approx(0.5, rel=1e-5)
    set_multipliers([dict(layer.named_parameters())], [0.25])
    assert step() == pytest.approx(0.25, rel=1e-5)
    optimizer.set_lr(0.4)
    assert step() == pytest.approx(0.1, rel=1e-5)


def test_lengths_must_agree() -> None:
    with pytest.raises(ValueError, match="zip"):
        set_multipliers(_groups(_network()), [1.0])


def test_what_a_network_asks_for_by_itself_stays_a_factor() -> None:
    layer = paddle.nn.Linear(2, 2, weight_attr=paddle.ParamAttr(learning_rate=0.01))
    for multiplier in (0.5, 0.5, 0.1):
        set_multipliers([dict(layer.named_parameters())], [multiplier])
        assert layer.weight.optimize_attr["learning_rate"] == pytest.approx(0.01 * multiplier)
        assert layer.bias.optimize_attr["learning_rate"] == pytest.approx(multiplier)
