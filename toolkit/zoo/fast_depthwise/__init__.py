"""An optional accelerator for CPUs: depthwise convolutions, Paddle's slowest layers there, by kernels of our own.

Paddle computes a depthwise convolution on a CPU as one small matrix product a channel, which takes more than half of a
training step of networks like MobileNet.
"""

from toolkit.zoo.fast_depthwise.layer import depthwise_layers, fast_depthwise, is_installed, kernels_problem

__all__ = ["depthwise_layers", "fast_depthwise", "is_installed", "kernels_problem"]
