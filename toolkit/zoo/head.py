"""New heads: from pooled features to logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import paddle.nn.functional as F
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, KaimingNormal, Normal

from toolkit.config import HeadConfig
from toolkit.zoo.steps import Step

__all__ = ["LinearHead", "MLPHead", "build_head"]

_ACTIVATIONS: Mapping[str, Step] = {"gelu": F.gelu, "hardswish": F.hardswish, "relu": F.relu, "tanh": F.tanh}


class LinearHead(nn.Linear):
    """Dropout and one dense layer.

    Weights start as Normal(0, 0.01) and biases as 0, so that the first predictions are near uniform and the first loss
    is near log(classes); Paddle's default (Xavier uniform) starts with confident guesses on unnormalised features.
    Dropout scales up in training (``upscale_in_train``), so that evaluation has nothing to scale.

    Args:
        in_features: Width of the features.
        num_classes: Number of outputs.
        dropout: Probability of dropping a feature, in [0, 1).
    """

    def __init__(self, in_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__(
            in_features,
            num_classes,
            weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
            bias_attr=ParamAttr(initializer=Constant(0.0)),
        )
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, num_classes]."""
        if self.dropout > 0:
            x = F.dropout(x, p=self.dropout, training=self.training, mode="upscale_in_train")
        return F.linear(x, self.weight, self.bias)


class MLPHead(nn.Layer):
    """Hidden layers, each with dropout before and an activation behind, and a linear head on top.

    Hidden weights start as in He et al., "Delving Deep into Rectifiers" (arXiv 1502.01852), equation 10.

    Args:
        in_features: Width of the features.
        num_classes: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: ``relu``, ``gelu``, ``tanh`` or ``hardswish``.
        dropout: Probability of dropping a feature before each dense layer, in [0, 1).
    """

    def __init__(
        self, in_features: int, num_classes: int, hidden: Sequence[int], activation: str = "relu", dropout: float = 0.0
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        self.hidden = nn.LayerList(
            [
                nn.Linear(
                    before,
                    after,
                    weight_attr=ParamAttr(initializer=KaimingNormal()),
                    bias_attr=ParamAttr(initializer=Constant(0.0)),
                )
                for before, after in pairwise(widths)
            ]
        )
        self.out = LinearHead(widths[-1], num_classes, dropout)
        self.activation = _ACTIVATIONS[activation]
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, num_classes]."""
        for layer in self.hidden:
            if self.dropout > 0:
                x = F.dropout(x, p=self.dropout, training=self.training, mode="upscale_in_train")
            x = self.activation(layer(x))
        return self.out(x)


def build_head(config: HeadConfig, in_features: int, num_classes: int) -> nn.Layer:
    """The head that a config asks for, with random weights.

    Args:
        config: Type, hidden widths, activation, dropout.
        in_features: Width of the pooled features.
        num_classes: Number of outputs.
    """
    if config.type == "mlp":
        return MLPHead(in_features, num_classes, config.hidden, config.activation, config.dropout)
    return LinearHead(in_features, num_classes, config.dropout)
