"""Consecutive stages as one layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from paddle import Tensor, nn

from toolkit.zoo.steps import BoundStage

__all__ = ["Freezing", "StageChain", "evaluating"]


@dataclass
class Freezing:
    """How many stages are frozen; one object, shared by a network and its tails."""

    stages: int = 0


@contextmanager
def evaluating(network: nn.Layer) -> Iterator[None]:
    """Evaluation mode for a while; afterwards every layer is in the mode it was in."""
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    try:
        for layer, _ in modes:
            layer.training = False
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode


def _place(root: nn.Layer, path: str, layer: nn.Layer) -> None:
    """Make ``layer`` a sublayer of ``root`` under a dotted path; what is missing on the way is made."""
    *parents, name = path.split(".")
    for parent in parents:
        root = root._sub_layers.get(parent) or root.add_sublayer(parent, nn.Layer())
    root.add_sublayer(name, layer)


class StageChain(nn.Layer):
    """Consecutive stages and the top above them, as a layer of its own.

    Its sublayers are those of its stages, under the names they have in the whole network.

    Args:
        stages: All stages of the network.
        top: Pooling and head.
        start: Number of stages below this chain.
        freezing: Which stages are frozen.
    """

    def __init__(self, stages: Sequence[BoundStage], top: BoundStage, start: int, freezing: Freezing) -> None:
        super().__init__()
        self._stages = tuple(stages)
        self._top = top
        self._start = start
        self._freezing = freezing
        for part in (*self._stages[start:], top):
            for path, layer in part.layers.items():
                _place(self, path, layer)

    @property
    def frozen(self) -> int:
        """Number of frozen stages of the whole network."""
        return self._freezing.stages

    def forward(self, x: Tensor) -> Tensor:
        """From the input of the first stage, [N, ...], to logits [N, classes]."""
        for stage in self._stages[self._start :]:
            for step in stage.steps:
                x = step(x)
        for step in self._top.steps:
            x = step(x)
        return x

    def train(self, mode: bool = True) -> StageChain:
        """Training mode, except for frozen stages: their BatchNorm statistics and dropout stay as in evaluation.

        ``paddle.Model`` calls this before every batch, and it sets the mode of every sublayer directly.
        """
        if not mode:
            return self.eval()
        super().train()
        for stage in self._stages[: self._freezing.stages]:
            stage.set_training(False)
        return self

    def eval(self) -> StageChain:
        """Evaluation mode."""
        super().eval()
        return self
