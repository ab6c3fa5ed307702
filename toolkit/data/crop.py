"""A rectangle in an image, which may be chosen before the image is decoded."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from toolkit.data.channels import Pixels


class Box(NamedTuple):
    """A rectangle, in pixels.

    Attributes:
        top: First row.
        left: First column.
        height: Number of rows, >= 1.
        width: Number of columns, >= 1.
    """

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Pixels) -> Pixels:
        """Cut the rectangle out of an image; returns a view, ``[height, width, C]``."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def reduced(self, times: int) -> Box:
        """Return the same region in the image at 1/times its size, to within half a pixel; always inside that image."""
        return Box(
            (self.top + times // 2) // times,
            (self.left + times // 2) // times,
            max(1, self.height // times),
            max(1, self.width // times),
        )


ChooseBox: TypeAlias = Callable[[int, int], Box]
"""Chooses a region from the height and width of an image."""


def whole(height: int, width: int) -> Box:
    """Return the whole image as a box."""
    return Box(0, 0, height, width)
