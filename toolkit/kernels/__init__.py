"""An optional accelerator for CPUs: our own convolution kernels where they are faster than Paddle's.

On a CPU, Paddle computes a depthwise convolution as one small matrix product per channel, which takes more than half of
a training step of networks like MobileNet. It computes a 3 x 3 convolution, the building block of ResNets and VGGs, as
a matrix product with the full number of multiplications.
"""

from toolkit.kernels.layer import fast_convolutions, is_installed, kernels_problem, suitable_layers

__all__ = ["fast_convolutions", "is_installed", "kernels_problem", "suitable_layers"]
