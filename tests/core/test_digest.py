"""A fingerprint notices every change of a frozen array."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

from toolkit.core.digest import fingerprint, moved


def test_nothing_moved() -> None:
    state = {"a": np.arange(6.0).reshape(2, 3), "b": np.float32(3)}
    assert moved(fingerprint(state), fingerprint({key: np.array(value) for key, value in state.items()})) == []


@pytest.mark.parametrize(
    "other",
    [np.nextafter(np.ones((2, 3), "float32"), 2), np.ones((3, 2), "float32"), np.ones((2, 3), "float64")],
    ids=["last bit", "shape", "type"],
)
def test_changes_are_seen(other: np.ndarray) -> None:
    before = fingerprint({"w": np.ones((2, 3), "float32"), "v": np.zeros(2)})
    assert moved(before, fingerprint({"w": other, "v": np.zeros(2)})) == ["w"]


def test_keys_that_come_or_go_are_seen() -> None:
    assert moved({"a": "1", "b": "2"}, {"b": "2", "c": "3"}) == ["a", "c"]


def test_tensors_and_arrays_agree() -> None:
    layer = paddle.nn.BatchNorm1D(3)
    state = layer.state_dict()
    assert fingerprint(state) == fingerprint({key: value.numpy() for key, value in state.items()})


def test_drift_of_batch_norm_is_seen() -> None:
    layer = paddle.nn.BatchNorm1D(3)
    before = fingerprint(layer.state_dict())
    layer.train()
    layer(paddle.rand([4, 3]))
    assert moved(before, fingerprint(layer.state_dict())) == ["_mean", "_variance"]
