"""Evaluation mode as a context manager."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paddle.nn import Layer


@contextmanager
def evaluating(network: Layer) -> Iterator[None]:
    """Evaluation mode without gradients; restores every layer's previous mode, including that of frozen layers."""
    import paddle

    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    network.eval()
    try:
        with paddle.no_grad():
            yield
    finally:
        for layer, training in modes:
            layer.training = training
