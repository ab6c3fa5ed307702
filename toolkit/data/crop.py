"""A rectangle of a picture, which may be known before the picture is decoded."""

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
        """This part of a picture, ``[height, width, C]``, as a view of it."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]

    def reduced(self, times: int) -> Box:
        """The same part of the picture at 1/times of its size, to half a pixel of that size; it lies inside it."""
        return Box(
            (self.top + times // 2) // times,
            (self.left + times // 2) // times,
            max(1, self.height // times),
            max(1, self.width // times),
        )


ChooseBox: TypeAlias = Callable[[int, int], Box]
"""From the height and width of a picture to the part that is wanted of it."""


def whole(height: int, width: int) -> Box:
    """All of a picture."""
    return Box(0, 0, height, width)
