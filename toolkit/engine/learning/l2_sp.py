"""L2-SP: weights that move are pulled back to where they started."""

from __future__ import annotations

import paddle
from paddle.regularizer import L2Decay

from toolkit.zoo import StagedNetwork


class L2SP:
    """Adds to the loss strength / 2 times the squared distance of the backbone's weights from the pretrained ones.

    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (arXiv
    1802.01483), section 3, L2-SP; its second term, plain weight decay of the head, is the optimizer's. The gradient is
    added by hand, which is exact and needs no second graph. Where an optimizer scales gradients (Adam, AdamW), it
    scales this one too. Optimizers leave these weights out of plain weight decay (``parameter.regularizer``).

    Args:
        network: Its weights now are the ones to stay near: make this before anything is trained or resumed.
        strength: Alpha of the paper, >= 0.
    """

    def __init__(self, network: StagedNetwork, strength: float) -> None:
        self.strength = strength
        stages = range(len(network.stage_names))
        parameters = [parameter for index in stages for parameter in network.stage_parameters(index).values()]
        with paddle.no_grad():
            self._pairs = [(parameter, parameter.detach().clone()) for parameter in parameters]
        for parameter in parameters:
            parameter.regularizer = L2Decay(0.0)

    def add_gradient(self) -> None:
        """Add strength * (w - w0) to the gradients of the backbone weights that have one; between backward and step."""
        with paddle.no_grad():
            for parameter, start in self._pairs:
                if not parameter.stop_gradient and parameter.grad is not None:
                    parameter.grad.add_(self.strength * (parameter - start))

    def penalty(self) -> float:
        """What is added to the loss just now, by all weights that may move."""
        with paddle.no_grad():
            moving = [(parameter, start) for parameter, start in self._pairs if not parameter.stop_gradient]
            return self.strength / 2 * sum(float(((now - start) ** 2).sum().item()) for now, start in moving)
