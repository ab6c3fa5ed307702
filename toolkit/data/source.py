"""What a format reader hands over: labelled pictures, and which part of the set each belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from toolkit.core.errors import DataError
from toolkit.core.names import nearest, same_name
from toolkit.data.images import ImageSet


@dataclass(frozen=True)
class Source:
    """A data set as it lies on disk, before any split.

    Attributes:
        classes: Names of the classes (a class number is a position in here), or of the columns of the labels.
        splits: Image sets by part: ``train`` always, ``val`` and ``test`` where the data set has them. A set without
            a split of its own is all ``train``.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, ImageSet]

    @property
    def has_rows(self) -> bool:
        """True when a picture has a row of labels or targets, False when it has a class."""
        return self.splits["train"].has_rows

    @property
    def _kind(self) -> str:
        return "column" if self.has_rows else "class"

    def only(self, wanted: tuple[str, ...]) -> Source:
        """The same with some classes only, numbered in the given order; pictures of other classes are left out.

        Where pictures have a row of labels or targets, these columns are kept, and all pictures.

        Raises:
            DataError: An unknown or repeated class, label or target.
        """
        wanted = tuple(same_name(name, self.classes) or name for name in wanted)
        unknown = [name for name in wanted if name not in self.classes]
        if unknown:
            raise DataError(
                f"data.classes: the data set has no {self._kind} {', '.join(map(repr, unknown))}",
                hint=nearest(unknown[0], self.classes),
            )
        if len(set(wanted)) < len(wanted):
            raise DataError(f"data.classes names a {self._kind} twice", hint=f"name each {self._kind} once")
        if self.has_rows:
            columns = [self.classes.index(name) for name in wanted]
            kept = {
                split: images.take(np.arange(len(images)), images.labels[:, columns])
                for split, images in self.splits.items()
            }
            return replace(self, classes=wanted, splits=kept)
        number = np.full(len(self.classes), -1)
        number[[self.classes.index(name) for name in wanted]] = np.arange(len(wanted))
        splits = {}
        for split, images in self.splits.items():
            labels = number[images.labels]
            chosen = np.flatnonzero(labels >= 0)
            splits[split] = images.take(chosen, labels[chosen])
        return replace(self, classes=wanted, splits=splits)
