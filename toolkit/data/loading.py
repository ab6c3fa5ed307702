"""What every source of batches has in common, whether it reads images or features made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from toolkit.data.batches import Batch
from toolkit.data.images import ImageSet, Indices, Labels


class Loader(Protocol):
    """Batches of an image set in an order that depends on (seed, epoch) alone."""

    @property
    def images(self) -> ImageSet:
        """The images that the batches are made of."""

    @property
    def labels(self) -> Labels:
        """Labels of all images, a row each, in the order of the image set."""

    @property
    def start_stage(self) -> int:
        """Index of the first stage of the network that the batches still go through; 0 for images."""

    @property
    def epoch(self) -> int:
        """The epoch (0-based) that the next iteration makes."""

    @property
    def start(self) -> int:
        """The first batch (0-based) of the next iteration."""

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch (0-based) that the next iteration makes, and its first batch: earlier ones are not read."""

    def index_batches(self) -> list[Indices]:
        """Positions in the image set, int64 ``[N]`` for each batch of this epoch in this process."""

    def __len__(self) -> int:
        """Number of batches."""

    def __iter__(self) -> Iterator[Batch]: ...
