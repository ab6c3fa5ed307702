"""Five steps of each optimizer, beside the equations in plain numpy: with decay, clipping and shares of the rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import pytest
from numpy.typing import NDArray

from toolkit.config import TrainConfig
from toolkit.engine.learning.optimizer import make_optimizer

Floats = NDArray[np.float64]
LR, DECAY, MOMENTUM, CLIP = 0.1, 0.05, 0.8, 0.5
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def sgd(weight: Floats, gradients: list[Floats], lr: float) -> Floats:
    for gradient in gradients:
        weight = weight - lr * (gradient + DECAY * weight)
    return weight


def momentum(weight: Floats, gradients: list[Floats], lr: float) -> Floats:
    velocity = np.zeros_like(weight)
    for gradient in gradients:
        velocity = MOMENTUM * velocity + gradient + DECAY * weight
        weight = weight - lr * velocity
    return weight


def _adam(weight: Floats, gradients: list[Floats], lr: float, inside: float, beside: float) -> Floats:
    """Kingma & Ba 2015, algorithm 1; with decay inside the gradient, or beside the step (Loshchilov & Hutter 2019)."""
    first, second = np.zeros_like(weight), np.zeros_like(weight)
    for step, each in enumerate(gradients, 1):
        gradient = each + inside * weight
        first = BETA1 * first + (1 - BETA1) * gradient
        second = BETA2 * second + (1 - BETA2) * gradient**2
        scaled = (first / (1 - BETA1**step)) / (np.sqrt(second / (1 - BETA2**step)) + EPSILON)
        weight = weight - lr * beside * weight - lr * scaled
    return weight


def adam(weight: Floats, gradients: list[Floats], lr: float) -> Floats:
    return _adam(weight, gradients, lr, DECAY, 0.0)


def adamw(weight: Floats, gradients: list[Floats], lr: float) -> Floats:
    return _adam(weight, gradients, lr, 0.0, DECAY)


def clipped(gradients: list[list[Floats]]) -> list[list[Floats]]:
    """Each step's gradients of all weights, scaled to a common norm of at most ``CLIP``."""
    norms = [np.sqrt(sum(float((each**2).sum()) for each in step)) for step in gradients]
    return [[each * min(1.0, CLIP / norm) for each in step] for step, norm in zip(gradients, norms, strict=True)]


@pytest.mark.parametrize("clip", [None, CLIP], ids=["as they are", "clipped"])
@pytest.mark.parametrize("reference", [sgd, momentum, adam, adamw], ids=lambda each: each.__name__)
def test_steps_are_those_of_the_equations(reference: Callable[..., Floats], clip: float | None) -> None:
    """On all weights that move: those of BatchNorm and biases decay, too; what is frozen stays."""
    paddle.seed(0)
    network = paddle.nn.Sequential(paddle.nn.Linear(3, 4), paddle.nn.BatchNorm1D(4), paddle.nn.Linear(4, 2))
    rng = np.random.default_rng(1)
    weights = [weight for weight in network.parameters() if not weight.stop_gradient]  # BatchNorm's statistics are not
    for number, weight in enumerate(weights):
        weight.set_value(rng.normal(size=weight.shape).astype(np.float32))
        weight.optimize_attr["learning_rate"] = 0.25 if number < 2 else 1.0
    weights[-1].stop_gradient = True
    before = [weight.numpy().astype(np.float64) for weight in weights]
    gradients = [[rng.normal(size=weight.shape) for weight in weights[:-1]] for _ in range(5)]
    train = TrainConfig(weight_decay=DECAY, momentum=MOMENTUM, clip_norm=clip)
    optimizer = make_optimizer(reference.__name__, train, network, LR)
    for step in gradients:
        optimizer.clear_grad()
        sum(
            (weight * paddle.to_tensor(each.astype(np.float32))).sum()
            for weight, each in zip(weights[:-1], step, strict=True)
        ).backward()
        optimizer.step()
    given = gradients if clip is None else clipped(gradients)
    for number, weight in enumerate(weights[:-1]):
        lr = LR * (0.25 if number < 2 else 1.0)
        expected = reference(before[number], [step[number] for step in given], lr)
        np.testing.assert_allclose(weight.numpy(), expected, rtol=2e-5, atol=2e-6)
        assert np.abs(expected - before[number]).max() > 1e-3
    np.testing.assert_array_equal(weights[-1].numpy(), before[-1])
