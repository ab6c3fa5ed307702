"""Views of one picture for test-time augmentation: what a network says of them is averaged.

The centre, its mirror image where mirroring does not change what the picture is, the four corners, and theirs:
Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", section 4.1,
average the softmax of these ten. More views are crops at random places (Szegedy et al., arXiv:1409.4842, section 7,
take many), the same ones for every picture.
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
"""Side of the corner crops where the centre crop is the whole square: what lies at its border counts."""
_AREAS = (0.6, 0.9)
"""Of the square that random crops keep."""


@dataclass(frozen=True)
class View(Preprocessing):
    """Preprocessing that looks at one part of the picture's central square, perhaps mirrored.

    Attributes:
        place: Where the part lies, from (0, 0) top left to (1, 1) bottom right; None: the centre crop.
        scale: Side of that part as a fraction of the square's, in (0, 1].
        mirrored: Left and right are exchanged.
        upside_down: Top and bottom are exchanged.
    """

    place: tuple[float, float] | None = None
    scale: float = 1.0
    mirrored: bool = False
    upside_down: bool = False

    def geometry(self, image: Pixels) -> Pixels:
        """The view; see ``Preprocessing.geometry``."""
        seen = super().geometry(image) if self.place is None else self._part(image, *self.place)
        if self.mirrored:
            seen = seen[:, ::-1]
        return np.ascontiguousarray(seen[::-1] if self.upside_down else seen)

    def _part(self, image: Pixels, down: float, right: float) -> Pixels:
        height, width = image.shape[:2]
        side = min(height, width)
        window = max(1, round(self.scale * side))
        top = (height - side) // 2 + round(down * (side - window))
        left = (width - side) // 2 + round(right * (side - window))
        return resize(image[top : top + window, left : left + window], self.image_size, self.image_size)


def views_of(preprocessing: Preprocessing, flip: Flip, count: int) -> tuple[View, ...]:
    """So many different ways to look at a picture, the centre crop first.

    Args:
        preprocessing: Size, crop and normalisation.
        flip: Mirroring that does not change what the picture is.
        count: At least 1, at most ``MOST_VIEWS``.

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
        named += [{"place": place, "scale": corner, "mirrored": left, "upside_down": up} for place in _CORNERS]
    rng = generator(Stream.VIEWS)
    while len(named) < count:
        scale = math.sqrt(rng.uniform(*_AREAS))
        left, up = mirrors[int(rng.integers(len(mirrors)))]
        place = (float(rng.random()), float(rng.random()))
        named.append({"place": place, "scale": scale, "mirrored": left, "upside_down": up})
    return tuple(View(**facts, **each) for each in named[:count])
