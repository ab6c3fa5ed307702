"""Paddle Inference agrees with dygraph for every network of ``paddle.vision.models`` and every kind of head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.config import HeadConfig
from toolkit.inference import InferenceSession, save_program
from toolkit.zoo import StagedNetwork, create_network, get_spec, list_networks

QUICK = ("googlenet", "lenet", "mobilenet_v3_small", "shufflenet_v2_x0_25", "squeezenet1_1")
NAMES = [name for name in list_networks() if get_spec(name).library == "paddle"]
ROWS = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in NAMES]


def settle(network: StagedNetwork, images: np.ndarray) -> None:
    """Use these images' statistics for normalisation, so that activations do not vanish in deep networks."""
    norms = [layer for layer in network.sublayers() if hasattr(layer, "_momentum")]
    momenta = [layer._momentum for layer in norms]
    for layer in norms:
        layer._momentum = 0.0
    with paddle.no_grad():
        network(paddle.to_tensor(images))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer._momentum = momentum


def difference(network: StagedNetwork, size: int, folder: Path) -> float:
    """Largest difference between outputs, relative to the largest. The network is left in training mode."""
    network.train()
    images = np.random.default_rng(0).normal(size=(16, network.in_channels, size, size)).astype("float32")
    settle(network, images)
    images = images[:2]
    files = save_program(network, folder, (network.in_channels, size, size))
    assert all(layer.training for layer in network.sublayers(include_self=True))
    network.eval()
    with paddle.no_grad():
        expected = network(paddle.to_tensor(images)).numpy()
    network.train()
    assert np.isfinite(expected).all()
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * np.abs(expected).max(), "the images make no difference"
    found = InferenceSession(*files, optimize=True).run(images)
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def resolution(network: StagedNetwork, size: int) -> float:
    """Relative change of dygraph's own outputs when its input changes by a millionth, as rounding would.

    Deep networks with random weights amplify it: resnet152 by 7000.
    """
    network.eval()
    images = np.random.default_rng(0).normal(size=(16, network.in_channels, size, size)).astype("float32")[:2]
    with paddle.no_grad():
        exact, moved = (network(paddle.to_tensor(images * np.float32(factor))).numpy() for factor in (1, 1 + 1e-6))
    return float(np.abs(moved - exact).max() / np.abs(exact).max())


@pytest.mark.parametrize("name", ROWS)
def test_inference_agrees_with_dygraph(name: str, tmp_path: Path) -> None:
    """At the smallest size, as for predictions: with oneDNN and fused layers."""
    size = get_spec(name).min_size
    network = create_network(name, 3, image_size=size)
    found, smallest = difference(network, size, tmp_path), resolution(network, size)
    assert found < max(1e-3, 3 * smallest)
    assert smallest < 0.02, "such outputs prove nothing"


@pytest.mark.parametrize(
    "wishes",
    [
        {"pooling": "max", "in_channels": 1},
        {"pooling": "none", "task": "regression"},
        {"head": HeadConfig(type="cosine", dropout=0.5)},
        {"head": HeadConfig(type="mlp", hidden=(8,), dropout=0.5), "pooling": "gem"},
        {"head": HeadConfig(type="mlp", hidden=(8,))},
        {"in_channels": 5, "cut": "conv3_2"},
        {"head": HeadConfig(stages="upper_half"), "task": "regression"},
        {"head": HeadConfig(type="mlp", hidden=(8,), stages=("conv3_1", "conv6")), "pooling": "max"},
    ],
    ids=str,
)
def test_every_head_and_input_is_exported(wishes: dict[str, Any], tmp_path: Path) -> None:
    network = create_network("mobilenet_v1_x0_25", 3, image_size=64, **wishes)
    if "task" in wishes:
        network.set_target_statistics([1.0, -1.0, 0.1], [20.0, 10.0, 0.5])
    if network.standardising_head is not None:
        network.set_feature_statistics(np.full(network.feature_width, 0.3), 0.2)
    assert difference(network, 64, tmp_path) < 1e-3


def test_auxiliary_classifiers_are_not_exported(tmp_path: Path) -> None:
    network = create_network("googlenet", 3)
    assert difference(network, 224, tmp_path) < 1e-3
    assert len(network(paddle.randn([2, 3, 224, 224]))) == 3
