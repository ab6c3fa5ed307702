"""Batches of features: read from the cache or computed on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.cache import Features
from toolkit.data import Batch
from toolkit.data.loading import DerivedLoader, Loader


class FeatureLoader(DerivedLoader):
    """Batches of cached features, with the same samples in the same order as an image loader.

    Args:
        views: Features of the loader's image set, ``[N, ...]`` each; epoch e uses view e modulo their number.
        loader: The loader whose order is followed.
        start_stage: Index of the first stage still to apply to the features.
    """

    def __init__(self, views: Sequence[Features], loader: Loader, start_stage: int) -> None:
        super().__init__(loader, start_stage)
        self.views = tuple(views)

    def __iter__(self) -> Iterator[Batch]:
        labels, features = self.labels, self.views[self.epoch % len(self.views)]
        for rows in self.index_batches()[self.start :]:
            yield Batch(np.asarray(features[rows], np.float32), labels[rows], rows)


class EngineLoader(DerivedLoader):
    """Batches of features computed on demand, by an engine faster than dygraph.

    For inputs that are not cached: augmented images, which are seen only once, features too large to cache, and images
    used only to measure a result.

    Args:
        loader: Reads the images.
        run: Maps a batch of images to features.
        start_stage: Index of the first stage still to apply to the features.
    """

    def __init__(
        self, loader: Loader, run: Callable[[NDArray[np.float32]], NDArray[np.floating[Any]]], start_stage: int
    ) -> None:
        super().__init__(loader, start_stage)
        self._run = run

    def __iter__(self) -> Iterator[Batch]:
        for batch in self._loader:
            yield replace(batch, inputs=np.asarray(self._run(batch.inputs), np.float32))
