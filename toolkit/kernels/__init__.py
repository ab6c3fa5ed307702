"""An optional accelerator for CPUs: convolutions by kernels of our own, where they are faster than Paddle's.

Paddle computes a depthwise convolution on a CPU as one small matrix product a channel, which takes more than half of a
training step of networks like MobileNet; and one with a 3 x 3 kernel, of which ResNets and VGGs are made, as a product
of matrices with all of its multiplications.
"""

from toolkit.kernels.layer import fast_convolutions, is_installed, kernels_problem, suitable_layers

__all__ = ["fast_convolutions", "is_installed", "kernels_problem", "suitable_layers"]
