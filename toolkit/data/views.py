"""Views of one image for test-time augmentation, over which a network's outputs are averaged.

The views are the centre crop and the four corner crops, each also mirrored if mirroring does not change the meaning:
Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1,
average the softmax of these ten. Additional views are random crops (Szegedy et al., arXiv:1409.4842, section 7, use
many), the same for every image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from toolkit.core.random import Stream, generator
from toolkit.data.augmentation import Flip
from toolkit.data.channels import Pixels
from toolkit.data.preprocessing import Preprocessing, resize

MOST_VIEWS = 64
_MIRRORS = {
    "none": ((False, False),),
    "horizontal": ((False, False), (True, False)),
    "both": ((False, False), (True, False), (False, True), (True, True)),
}
"""Ways to mirror: left-right, upside down."""
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
_WHOLE_CORNER = 0.9
"""Side of the corner crops if the centre crop is the whole square, whose border may matter."""
_AREAS = (0.6, 0.9)
"""Fraction of the square that random crops keep."""


@dataclass(frozen=True)
class View(Preprocessing):
    """Preprocessing of one region of the image's central square, optionally mirrored.

    Attributes:
        position: Position of the region, from (0, 0) top left to (1, 1) bottom right; None: the centre crop.
        scale: Side of the region as a fraction of the square's side, in (0, 1].
        mirrored: Swap left and right.
        upside_down: Swap top and bottom.
    """

    position: tuple[float, float] | None = None
    scale: float = 1.0
    mirrored: bool = False
    upside_down: bool = False

    def geometry(self, image: Pixels) -> Pixels:
        """Return the view; see ``Preprocessing.geometry``."""
        seen = super().geometry(image) if self.position is None else self._region(image, *self.position)
        if self.mirrored:
            seen = seen[:, ::-1]
        return np.ascontiguousarray(seen[::-1] if self.upside_down else seen)

    def _region(self, image: Pixels, down: float, right: float) -> Pixels:
        height, width = image.shape[:2]
        side = min(height, width)
        window = max(1, round(self.scale * side))
        top = (height - side) // 2 + round(down * (side - window))
        left = (width - side) // 2 + round(right * (side - window))
        return resize(image[top : top + window, left : left + window], self.image_size, self.image_size)


def views_of(preprocessing: Preprocessing, flip: Flip, count: int) -> tuple[View, ...]:
    """Return ``count`` different views of an image, the centre crop first.

    Args:
        preprocessing: Size, crop and normalisation.
        flip: Mirroring that does not change the meaning.
        count: 1 to ``MOST_VIEWS``.

    Raises:
        ValueError: ``count`` is out of range.
    """
    if not 1 <= count <= MOST_VIEWS:
        raise ValueError(f"expected 1 to {MOST_VIEWS} views, not {count}")
    facts = {field.name: getattr(preprocessing, field.name) for field in fields(Preprocessing)}
    mirrors = _MIRRORS[flip]
    corner = preprocessing.crop_ratio if preprocessing.crop_ratio < 1 else _WHOLE_CORNER
    named: list[dict[str, Any]] = [{"mirrored": left, "upside_down": up} for left, up in mirrors]
    for left, up in mirrors:
        named += [{"position": position, "scale": corner, "mirrored": left, "upside_down": up} for position in _CORNERS]
    rng = generator(Stream.VIEWS)
    while len(named) < count:
        scale = math.sqrt(rng.uniform(*_AREAS))
        left, up = mirrors[int(rng.integers(len(mirrors)))]
        position = (float(rng.random()), float(rng.random()))
        named.append({"position": position, "scale": scale, "mirrored": left, "upside_down": up})
    return tuple(View(**facts, **options) for options in named[:count])
