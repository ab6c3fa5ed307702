"""Rows of features, read in chunks, so that at most one float32 copy is in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.cache import Features
from toolkit.core.errors import TrainingError

_CHUNK = 2**22
"""Maximum size of a chunk: 16 MB of float32."""
_CONSTANT = 1e-6
"""A standard deviation below this share of a feature's mean, or of the largest one, counts as zero."""


class StackedViews:
    """Augmented views of the same images as one set of rows: all images of the first view, then of the next.

    Their labels are ``np.tile(labels, V)``; with several labels or targets per image, ``np.tile(labels, (V, 1))``.

    Args:
        views: V features ``[N, D]`` of the same images in the same order; V >= 1.
    """

    def __init__(self, views: Sequence[NDArray[np.floating[Any]] | Features]) -> None:
        self._views = tuple(views)
        self._images = self._views[0].shape[0]
        if any(view.shape != self._views[0].shape for view in self._views):
            raise ValueError(f"views differ: {', '.join(str(tuple(view.shape)) for view in self._views)}")
        self.shape = (len(self._views) * self._images, *self._views[0].shape[1:])
        """``(V * N, D)``."""

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Gather rows."""
        gathered = np.empty((len(rows), *self.shape[1:]), np.float32)
        views, images = np.divmod(rows, self._images)
        for index in np.unique(views):
            gathered[views == index] = self._views[index][images[views == index]]
        return gathered


Rows = NDArray[np.floating[Any]] | Features | StackedViews
"""``[N, D]``: an array, memory-mapped or not, or rows of the feature cache; float16, float32 or float64."""


def chunks_of(rows: Rows, width: int | None = None) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Iterate over rows as float32 in order, in chunks, with their slices.

    Args:
        rows: ``[N, D]``.
        width: Numbers that the caller computes per row, if more than D.

    Raises:
        TrainingError: A number is not finite.
    """
    count = max(1, _CHUNK // max(rows.shape[1], width or 0, 1))
    for first in range(0, rows.shape[0], count):
        place = slice(first, min(first + count, rows.shape[0]))
        chunk = np.asarray(rows[np.arange(place.start, place.stop)], np.float32)
        if not np.isfinite(chunk).all():
            raise TrainingError(
                f"features of samples {place.start} to {place.stop - 1} hold NaN or infinite numbers",
                hint="the network's weights may be damaged; with cache.dtype float16 use float32",
            )
        yield place, chunk


def labels_of(rows: Rows, labels: NDArray[Any], what: str) -> NDArray[Any]:
    """Check and return the labels of rows.

    Raises:
        TrainingError: There are no rows.
        ValueError: Rows and labels do not match.
    """
    if len(rows.shape) != 2 or len(labels) != rows.shape[0]:
        raise ValueError(f"{what}: features {tuple(rows.shape)} and {len(labels)} labels; expected [N, D] and N")
    if not len(labels):
        raise TrainingError(f"a head cannot be fitted: there are no {what}")
    return np.asarray(labels)


@dataclass(frozen=True)
class Scaling:
    """Standardisation of features by the statistics of the training rows.

    A single number scales all features, the root of their mean variance, as in a trained head: a feature that hardly
    varies then contributes little. Divided by its own deviation it would be mere noise on other images. Features of
    several stages have one number per stage, such that the stages' total variances are equal.

    Attributes:
        mean: Mean of each feature, float64 ``[D]``.
        std: The scale (of the population), ``[D]``; infinite for a constant feature, which becomes 0 and thus gets
            weight 0.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Rows, pieces: Sequence[int] = (), *, last: bool = False) -> Scaling:
        """Compute the statistics of ``[N, D]`` in two passes, in float64.

        Args:
            rows: The training rows.
            pieces: Number of features of each stage, in order; (): all are of one stage.
            last: Use the features of the last stage alone; those of the others become 0, and get weight 0.
        """
        total = np.zeros(rows.shape[1])
        for _, chunk in chunks_of(rows):
            total += chunk.sum(axis=0, dtype=np.float64)
        mean = total / rows.shape[0]
        squares = np.zeros_like(mean)
        for _, chunk in chunks_of(rows):
            squares += ((chunk - mean) ** 2).sum(axis=0)
        std = np.sqrt(squares / rows.shape[0])
        ends = np.cumsum(pieces or (len(mean),))[:-1]
        stages = list(zip(np.split(mean, ends), np.split(std, ends), strict=True))
        varied = [spread > _CONSTANT * np.maximum(np.abs(centre), spread.max(initial=0.0)) for centre, spread in stages]
        if last:
            varied = [mask & (index == len(varied) - 1) for index, mask in enumerate(varied)]
        counts = np.array([mask.sum() for mask in varied])
        shares = counts * (counts > 0).sum() / max(counts.sum(), 1)  # 1 for a single stage
        scales = [
            np.where(mask, np.sqrt((spread[mask] ** 2).mean() * share) if mask.any() else 1.0, np.inf)
            for (_, spread), mask, share in zip(stages, varied, shares, strict=True)
        ]
        return cls(mean, np.concatenate(scales))

    def apply(self, rows: Rows) -> NDArray[np.float32]:
        """``(rows - mean) / std`` as one float32 array ``[N, D]``."""
        result = np.empty(rows.shape, np.float32)
        for place, chunk in chunks_of(rows):
            result[place] = (chunk - self.mean) / self.std
        return result

    def fold(
        self, weight: NDArray[np.float64], bias: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Convert a layer ``[D, C]``, ``[C]`` on standardised features to an equal one on unscaled features."""
        folded = weight / self.std[:, None]
        return folded, bias - self.mean @ folded
