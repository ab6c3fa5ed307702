"""L2-SP: pull trainable weights back towards their starting values."""

from __future__ import annotations

import paddle
from paddle.regularizer import L2Decay

from toolkit.zoo import StagedNetwork


class L2SP:
    """Adds to the loss strength / 2 times the squared distance of the backbone's weights from the pretrained ones.

    Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks" (arXiv
    1802.01483), section 3, L2-SP; its second term, plain weight decay of the head, is left to the optimizer. The
    gradient is added manually, which is exact and needs no second graph. Optimizers that scale gradients (Adam, AdamW)
    scale this one too. Optimizers exclude these weights from plain weight decay (``parameter.regularizer``).

    Args:
        network: Its current weights are the reference: create this before training or resuming.
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
        """Add strength * (w - w0) to existing gradients of backbone weights; call between backward and step."""
        with paddle.no_grad():
            for parameter, start in self._pairs:
                if not parameter.stop_gradient and parameter.grad is not None:
                    parameter.grad.add_(self.strength * (parameter - start))

    def penalty(self) -> float:
        """The current penalty on the loss, over all trainable weights."""
        with paddle.no_grad():
            moving = [(parameter, start) for parameter, start in self._pairs if not parameter.stop_gradient]
            return self.strength / 2 * sum(float(((now - start) ** 2).sum().item()) for now, start in moving)
