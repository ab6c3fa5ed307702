"""New heads, which map pooled features to outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import paddle
import paddle.nn.functional as F
from numpy.typing import ArrayLike
from paddle import ParamAttr, Tensor, nn
from paddle.nn.initializer import Constant, KaimingNormal, Normal

from toolkit.config import HeadConfig
from toolkit.core.errors import NetworkError
from toolkit.tasks import TASKS, TaskName
from toolkit.zoo.forward_steps import Step
from toolkit.zoo.standardised_head import StandardisingHead

_ACTIVATIONS: Mapping[str, Step] = {"gelu": F.gelu, "hardswish": F.hardswish, "relu": F.relu, "tanh": F.tanh}


def _dropout(x: Tensor, probability: float, training: bool) -> Tensor:
    """Dropout scaled up in training, so that evaluation needs no scaling."""
    return F.dropout(x, p=probability, training=training, mode="upscale_in_train") if probability > 0 else x


class LinearHead(StandardisingHead, nn.Linear):
    """Dropout and one dense layer.

    Weights are initialised from Normal(0, 0.01) and biases with 0, so that the first predictions are near uniform and
    the first loss is near log(classes); Paddle's default (Xavier uniform) starts with confident guesses on unnormalised
    features. Dropout scales up in training (``upscale_in_train``), so that evaluation needs no scaling.

    For regression the dense layer predicts standardised targets, and the head's outputs are in the targets' own units:
    ``dense(x) * target_std + target_mean``. Both are buffers, in the state dict beside the weights.

    Args:
        in_features: Width of the features.
        num_classes: Number of outputs.
        dropout: Probability of dropping a feature, in [0, 1).
        regression: Whether the outputs are targets in their own units.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        dropout: float = 0.0,
        *,
        regression: bool = False,
    ) -> None:
        super().__init__(
            in_features,
            num_classes,
            weight_attr=ParamAttr(initializer=Normal(0.0, 0.01)),
            bias_attr=ParamAttr(initializer=Constant(0.0)),
        )
        self.dropout = dropout
        self.regression = regression
        if regression:
            self.register_buffer("target_mean", paddle.zeros([num_classes]))
            self.register_buffer("target_std", paddle.ones([num_classes]))

    @property
    def first_layer(self) -> nn.Linear:
        """The layer itself."""
        return self

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, num_classes]."""
        x = self.standardised(x)
        y = F.linear(_dropout(x, self.dropout, self.training), self.weight, self.bias)
        return y * self.target_std + self.target_mean if self.regression else y

    def set_target_statistics(self, mean: ArrayLike, std: ArrayLike) -> None:
        """Mean and standard deviation of the targets, [num_classes] each; see ``StagedNetwork``."""
        outputs = self.bias.shape[0]
        mean, std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        if mean.shape != (outputs,) or std.shape != (outputs,):
            raise NetworkError(f"statistics of {mean.shape} and {std.shape} do not match {outputs} targets")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise NetworkError(f"targets have mean {mean} and standard deviation {std}: expected numbers, std > 0")
        self.target_mean.set_value(mean)
        self.target_std.set_value(std)


class MLPHead(StandardisingHead):
    """Hidden layers, each preceded by dropout and followed by an activation, with a linear head on top.

    Hidden weights are initialised as in He et al., "Delving Deep into Rectifiers" (arXiv 1502.01852), equation 10.

    Args:
        in_features: Width of the features.
        num_classes: Number of outputs.
        hidden: Widths of the hidden layers.
        activation: ``relu``, ``gelu``, ``tanh`` or ``hardswish``.
        dropout: Probability of dropping a feature before each dense layer, in [0, 1).
        regression: See ``LinearHead``.
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        hidden: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        *,
        regression: bool = False,
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
        self.out = LinearHead(widths[-1], num_classes, dropout, regression=regression)
        self.activation = _ACTIVATIONS[activation]
        self.dropout = dropout

    @property
    def first_layer(self) -> nn.Linear:
        """The first hidden layer."""
        layer: nn.Linear = self.hidden[0]
        return layer

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, num_classes]."""
        x = self.standardised(x)
        for layer in self.hidden:
            x = self.activation(layer(_dropout(x, self.dropout, self.training)))
        return self.out(x)


class CosineHead(nn.Layer):
    """Dropout and the cosine of the angle between the features and each class's weights, times a learned scale.

    Gidaris and Komodakis, "Dynamic Few-Shot Visual Learning without Forgetting" (arXiv 1804.09501), equation 4; the
    scale starts at 10 as in the paper. Weights start as Normal(0, 0.01); only their direction matters.

    Args:
        in_features: Width of the features.
        num_classes: Number of outputs.
        dropout: Probability of dropping a feature, in [0, 1).
    """

    def __init__(self, in_features: int, num_classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.weight = self.create_parameter([in_features, num_classes], default_initializer=Normal(0.0, 0.01))
        self.scale = self.create_parameter([1], default_initializer=Constant(10.0))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_features] -> [N, num_classes], each in [-scale, scale]."""
        x = _dropout(x, self.dropout, self.training)
        return self.scale * paddle.matmul(_unit(x, axis=1), _unit(self.weight, axis=0))


def _unit(x: Tensor, axis: int) -> Tensor:
    """Normalise to length 1 along an axis; zeros stay zero, with a finite gradient."""
    return x * paddle.rsqrt(paddle.sum(x * x, axis=axis, keepdim=True) + 1e-12)


def build_head(
    config: HeadConfig, in_features: int | Sequence[int], num_classes: int, task: TaskName = "classification"
) -> nn.Layer:
    """Build the configured head, with random weights.

    Args:
        config: Type, hidden widths, activation, dropout.
        in_features: Width of the pooled features; of several stages, the width of each.
        num_classes: Number of outputs.
        task: Task, which determines what the outputs are.

    Raises:
        NetworkError: A cosine head for regression.
    """
    regression = TASKS[task].predicts_numbers
    pieces = [in_features] if isinstance(in_features, int) else in_features
    width = sum(pieces)
    if config.type == "mlp":
        mlp = MLPHead(width, num_classes, config.hidden, config.activation, config.dropout, regression=regression)
        mlp.keep_feature_statistics(width, scales=len(pieces))
        return mlp
    if config.type == "linear":
        linear = LinearHead(width, num_classes, config.dropout, regression=regression)
        linear.keep_feature_statistics(width, scales=len(pieces))
        return linear
    if regression:
        raise NetworkError("a cosine head compares directions, which suits no regression", hint="use linear or mlp")
    return CosineHead(width, num_classes, config.dropout)
