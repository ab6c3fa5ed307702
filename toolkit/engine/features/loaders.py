"""Batches of features: read from the cache, or computed as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.cache import Features
from toolkit.data import Batch, ImageSet
from toolkit.data.loading import Loader


class _InOrderOf:
    """Batches in the order of another loader, for a later stage of the network.

    Args:
        loader: Whose batches these are.
        start_stage: Index of the first stage that they still go through.
    """

    def __init__(self, loader: Loader, start_stage: int) -> None:
        self._loader = loader
        self.start_stage = start_stage

    @property
    def images(self) -> ImageSet:
        """The images that the features are made of."""
        return self._loader.images

    @property
    def labels(self) -> NDArray[Any]:
        """Labels of all images, a row each, in the order of the features."""
        return self._loader.labels

    @property
    def epoch(self) -> int:
        """The epoch (0-based) that the next iteration makes."""
        return self._loader.epoch

    @property
    def start(self) -> int:
        """The first batch (0-based) of the next iteration."""
        return self._loader.start

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch (0-based) whose order comes next, and its first batch."""
        self._loader.set_epoch(epoch, start)

    def index_batches(self) -> list[NDArray[np.int64]]:
        """Positions in the image set of each batch of this epoch."""
        return self._loader.index_batches()

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._loader)


class FeatureLoader(_InOrderOf):
    """Batches of cached features: the same samples in the same order as another loader gives the images.

    Args:
        views: Features of the loader's image set, ``[N, ...]`` each; epoch e uses view e modulo their number.
        loader: Whose batches these are.
        start_stage: Index of the first stage that the features still go through.
    """

    def __init__(self, views: Sequence[Features], loader: Loader, start_stage: int) -> None:
        super().__init__(loader, start_stage)
        self.views = tuple(views)

    def __iter__(self) -> Iterator[Batch]:
        labels, features = self.labels, self.views[self.epoch % len(self.views)]
        for rows in self.index_batches()[self.start :]:
            yield Batch(np.asarray(features[rows], np.float32), labels[rows], rows)


class EngineLoader(_InOrderOf):
    """Batches of features computed as they are needed, by an engine that is faster than dygraph.

    For what is not kept: augmented images, each of which is seen only once, features that are too large to keep, and
    images that only a result is measured on.

    Args:
        loader: Reads the images.
        run: From a batch of images to its features.
        start_stage: Index of the first stage that the features still go through.
    """

    def __init__(
        self, loader: Loader, run: Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]], start_stage: int
    ) -> None:
        super().__init__(loader, start_stage)
        self._run = run

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            yield replace(batch, inputs=np.asarray(self._run(batch.inputs), np.float32))
