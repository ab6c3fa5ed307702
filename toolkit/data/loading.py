"""The interface of every source of batches, whether of images or of features computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from toolkit.data.batches import Batch
from toolkit.data.images import ImageSet, Indices, Labels


class Loader(Protocol):
    """Batches of an image set, in an order that depends only on (seed, epoch)."""

    @property
    def images(self) -> ImageSet:
        """The images behind the batches."""

    @property
    def labels(self) -> Labels:
        """Labels of all images, one row per image, in the order of the image set."""

    @property
    def start_stage(self) -> int:
        """Index of the first network stage that the batches still have to pass; 0 for images."""

    @property
    def epoch(self) -> int:
        """The epoch (0-based) of the next iteration."""

    @property
    def start(self) -> int:
        """The first batch (0-based) of the next iteration."""

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Set the epoch (0-based) of the next iteration and its first batch; earlier batches are not read."""

    def index_batches(self) -> list[Indices]:
        """Positions in the image set for each batch of this epoch in this process, int64 ``[N]`` each."""

    def __len__(self) -> int:
        """Number of batches."""

    def __iter__(self) -> Iterator[Batch]: ...


class DerivedLoader:
    """The order of another loader, for batches that are made from its batches or instead of them.

    Args:
        loader: The loader whose order is followed.
        start_stage: Index of the first network stage that the batches still have to pass; 0 for images.
    """

    def __init__(self, loader: Loader, start_stage: int = 0) -> None:
        self._loader = loader
        self.start_stage = start_stage

    @property
    def images(self) -> ImageSet:
        """The images behind the batches."""
        return self._loader.images

    @property
    def labels(self) -> Labels:
        """Labels of all images, one row each, in the order of the image set."""
        return self._loader.labels

    @property
    def epoch(self) -> int:
        """The epoch (0-based) of the next iteration."""
        return self._loader.epoch

    @property
    def start(self) -> int:
        """The first batch (0-based) of the next iteration."""
        return self._loader.start

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Set the epoch (0-based) of the next iteration, and its first batch."""
        self._loader.set_epoch(epoch, start)

    def index_batches(self) -> list[Indices]:
        """Positions in the image set of each batch of this epoch."""
        return self._loader.index_batches()

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._loader)
