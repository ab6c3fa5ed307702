"""The result of a format reader: labelled images by split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from toolkit.core.errors import DataError
from toolkit.core.names import nearest, same_name
from toolkit.data.images import ImageSet


@dataclass(frozen=True)
class Source:
    """A data set as stored, before any split is drawn.

    Attributes:
        classes: Names of the classes (class indices are positions in this tuple), or of the label columns.
        splits: Image sets by split: ``train`` always, ``val`` and ``test`` if the data set provides them. A set without
            splits is all ``train``.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, ImageSet]

    @property
    def has_rows(self) -> bool:
        """True if images have rows of labels or targets, False if they have classes."""
        return self.splits["train"].has_rows

    @property
    def _kind(self) -> str:
        return "column" if self.has_rows else "class"

    def only(self, wanted: tuple[str, ...]) -> Source:
        """Keep only some classes, renumbered in the given order, and drop images of other classes.

        If images have rows of labels or targets, keep only these columns, and all images.

        Raises:
            DataError: A class, label or target is unknown or repeated.
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
        new_index = np.full(len(self.classes), -1)
        new_index[[self.classes.index(name) for name in wanted]] = np.arange(len(wanted))
        splits = {}
        for split, images in self.splits.items():
            labels = new_index[images.labels]
            chosen = np.flatnonzero(labels >= 0)
            splits[split] = images.take(chosen, labels[chosen])
        return replace(self, classes=wanted, splits=splits)
