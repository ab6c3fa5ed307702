"""Image sizes that a network supports."""

from __future__ import annotations

from toolkit.core.errors import NetworkError
from toolkit.zoo.spec import NetworkSpec


def check_image_size(spec: NetworkSpec, image_size: int) -> None:
    """Reject an image size that the network does not support.

    Args:
        spec: Row of the network.
        image_size: Side of the square input in pixels.

    Raises:
        NetworkError: The size is below the network's minimum, or above its maximum, if any.
    """
    if image_size < spec.min_size:
        raise NetworkError(
            f"{spec.name} cannot take images of {image_size} pixels: it needs at least {spec.min_size}",
            hint=f"set data.image_size to {spec.min_size} or more (its native size is {spec.input_size})",
        )
    if spec.max_size is not None and image_size > spec.max_size:
        raise NetworkError(
            f"{spec.name} cannot take images of {image_size} pixels: its dense layers or position embeddings allow "
            f"at most {spec.max_size}",
            hint=f"set data.image_size to {spec.input_size}",
        )
