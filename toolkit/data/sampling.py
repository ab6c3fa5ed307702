"""Samplers: the training images of an epoch and their order.

The order is a pure function of seed and epoch, so that processes, workers and resumed runs agree on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt

from toolkit.core.random import Stream, generator
from toolkit.data.images import ImageSet, Indices


class Sampler(ABC):
    """Chooses the order of an epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of positions per epoch, the same for every epoch."""

    @abstractmethod
    def order(self, seed: int, epoch: int) -> Indices:
        """Return positions in the image set, int64 ``[len(self)]``; must be a pure function.

        Args:
            seed: The run's seed, >= 0.
            epoch: Epoch, from 0.
        """


class ShuffledSampler(Sampler):
    """Every image once, in a new order each epoch.

    Args:
        positions: Positions in the image set, or their number.
    """

    def __init__(self, positions: int | Indices) -> None:
        self._positions = np.arange(positions, dtype=np.int64) if isinstance(positions, int) else positions

    def __len__(self) -> int:
        return len(self._positions)

    def order(self, seed: int, epoch: int) -> Indices:
        """Return a permutation."""
        return generator(Stream.ORDER, seed, epoch).permutation(self._positions)


class BalancedSampler(Sampler):
    """Every class equally often, in epochs of about as many images as the set has.

    Each class deals its images like cards: all of them in random order, then all again in another order, and so on;
    each epoch continues where the previous one ended. Over any number of epochs, the images of a class are therefore
    used equally often, give or take one. Large classes need several epochs to show all images; small ones repeat theirs
    within an epoch.

    Args:
        labels: Class indices, int64 ``[N]``.
        positions: Positions of the images to use, ``[M]``, M >= 1; by default all. Classes without images are ignored.
    """

    def __init__(self, labels: npt.NDArray[np.integer], positions: Indices | None = None) -> None:
        chosen = np.arange(len(labels), dtype=np.int64) if positions is None else positions
        classes = labels[chosen]
        present = np.unique(classes)
        self._members = [(int(index), chosen[classes == index]) for index in present]
        self._share = -(-len(chosen) // len(present))

    def __len__(self) -> int:
        return self._share * len(self._members)

    def order(self, seed: int, epoch: int) -> Indices:
        """Return equal shares of all classes, shuffled together."""
        dealt = [self._dealt(index, members, seed, epoch) for index, members in self._members]
        return generator(Stream.ORDER, seed, epoch).permutation(np.concatenate(dealt))

    def _dealt(self, index: int, members: Indices, seed: int, epoch: int) -> Indices:
        start, stop = epoch * self._share, (epoch + 1) * self._share
        first, last = start // len(members), (stop - 1) // len(members)
        rounds = [generator(Stream.CLASS_ORDER, seed, index, turn) for turn in range(first, last + 1)]
        cards = np.concatenate([rng.permutation(members) for rng in rounds])
        return cards[start - first * len(members) : stop - first * len(members)]


class WeightedSampler(Sampler):
    """Every image in proportion to its weight, in epochs of as many images as the set has.

    Systematic resampling (Kitagawa, "Monte Carlo Filter and Smoother", JCGS 1996, appendix): image i is expected
    N w_i / sum(w) times per epoch, and occurs that often, rounded down or up. Images of weight 0 never occur.

    Args:
        weights: Numbers >= 0, ``[N]``, not all 0.

    Raises:
        ValueError: The weights are invalid.
    """

    def __init__(self, weights: npt.NDArray[np.floating]) -> None:
        exact = np.asarray(weights, np.float64)
        if not (np.isfinite(exact).all() and (exact >= 0).all() and exact.any()):
            raise ValueError("weights must be numbers >= 0, not all 0")
        self._bounds = np.cumsum(exact / exact.max())
        self._last = int(np.flatnonzero(exact)[-1])

    def __len__(self) -> int:
        return len(self._bounds)

    def order(self, seed: int, epoch: int) -> Indices:
        """Return the images hit by equal steps through the cumulated weights, shuffled."""
        rng, count = generator(Stream.DRAW, seed, epoch), len(self)
        steps = (rng.random() + np.arange(count)) * (self._bounds[-1] / count)
        met = np.searchsorted(self._bounds, steps, side="right")
        return rng.permutation(np.minimum(met, self._last).astype(np.int64))


def make_sampler(sampling: Literal["natural", "balanced", "weighted"], images: ImageSet) -> Sampler | None:
    """Make the sampler for a set of training images, excluding those of weight 0.

    Args:
        sampling: ``natural``, ``balanced`` (images with classes) or ``weighted`` (images with weights).
        images: The set.

    Returns:
        A sampler; None for every image once, which is a loader's default.

    Raises:
        ValueError: The images lack the classes or weights that ``sampling`` needs.
    """
    counting = None if images.weights is None or images.weights.all() else np.flatnonzero(images.weights)
    if sampling == "natural":
        return None if counting is None else ShuffledSampler(counting)
    if sampling == "balanced":
        if images.has_rows:
            raise ValueError("balanced sampling is for images with classes")
        return BalancedSampler(images.labels, counting)
    if images.weights is None:
        raise ValueError("weighted sampling is for images with weights")
    return WeightedSampler(images.weights)


def occurrences(order: Indices) -> Indices:
    """Count the earlier occurrences of each position in an order, int64 ``[N]``: 0 for the first one."""
    by_position = np.argsort(order, kind="stable")
    ordered = order[by_position]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.empty(len(order), np.int64)
    counts[by_position] = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    return counts
