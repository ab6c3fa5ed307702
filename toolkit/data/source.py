"""What a format reader hands over: labelled pictures, and which part of the set each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from toolkit.data.images import ImageSet
from toolkit.data.naming import nearest
from toolkit.errors import DataError

__all__ = ["Source"]


@dataclass(frozen=True)
class Source:
    """A data set as it lies on disk, before any split.

    Attributes:
        classes: Class names; a label is a position in here.
        parts: Image sets by part: ``train`` always, ``val`` and ``test`` where the data set has them. A set without
            a split of its own is all ``train``.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, ImageSet]

    def only(self, wanted: tuple[str, ...]) -> Source:
        """The same with some classes only, numbered in the given order.

        Raises:
            DataError: An unknown or repeated class.
        """
        unknown = [name for name in wanted if name not in self.classes]
        if unknown:
            raise DataError(
                f"data.classes: the data set has no class {', '.join(map(repr, unknown))}",
                hint=nearest(unknown[0], self.classes),
            )
        if len(set(wanted)) < len(wanted):
            raise DataError("data.classes names a class twice", hint="name each class once")
        number = np.full(len(self.classes), -1)
        number[[self.classes.index(name) for name in wanted]] = np.arange(len(wanted))
        parts = {}
        for part, images in self.parts.items():
            labels = number[images.labels]
            chosen = np.flatnonzero(labels >= 0)
            parts[part] = images.take(chosen, labels[chosen])
        return replace(self, classes=wanted, parts=parts)
