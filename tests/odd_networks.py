"""Small networks that an engine computes rightly, wrongly, or dies of."""

from __future__ import annotations

import paddle
from paddle import nn

__all__ = ["Deadly", "Right", "Wrong"]


class Right(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2D(3, 4, 3)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        return self.convolution(image).mean([2, 3])


class ChannelNorm(nn.Layer):
    """LayerNorm over channels, as ConvNeXt has it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([width], default_initializer=nn.initializer.Constant(1.0))
        self.bias = self.create_parameter([width], is_bias=True)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        centred = x - x.mean(1, keepdim=True)
        variance = centred.pow(2).mean(1, keepdim=True)
        return self.weight[:, None, None] * (centred / paddle.sqrt(variance + 1e-6)) + self.bias[:, None, None]


class Wrong(nn.Layer):
    """A block of ConvNeXt: Paddle Inference 3.3.1 with oneDNN computes something else."""

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.stem = nn.Conv2D(3, width, 4, 4)
        self.depthwise = nn.Conv2D(width, width, 7, padding=3, groups=width)
        self.norms = nn.LayerList([ChannelNorm(width), ChannelNorm(width)])
        self.dense = nn.Linear(width, width)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        y = self.norms[0](self.stem(image))
        return self.norms[1](y + self.dense(self.depthwise(y).transpose([0, 2, 3, 1])).transpose([0, 3, 1, 2]))


class Deadly(nn.Layer):
    """The halves of CSPDarkNet53: Paddle Inference 3.3.1 with oneDNN crashes when it loads them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2D(3, 64, 3, 2, 1, bias_attr=False)
        self.norm = nn.BatchNorm2D(64)
        self.point = nn.Conv2D(32, 32, 1)

    def forward(self, image: paddle.Tensor) -> paddle.Tensor:
        y = nn.functional.leaky_relu(self.norm(self.stem(image)))
        return paddle.concat([y[:, :32], nn.functional.leaky_relu(self.point(y[:, 32:]))], 1).mean([2, 3])
