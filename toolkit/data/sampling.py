"""Which training images an epoch takes, and in which order.

A sampler's order is a pure function of seed and epoch, so that processes, workers and resumed runs agree on it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import numpy.typing as npt

from toolkit.core.random import Stream, generator
from toolkit.data.images import ImageSet, Indices


class Sampler(ABC):
    """The order of an epoch."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of positions in an epoch, the same in each."""

    @abstractmethod
    def order(self, seed: int, epoch: int) -> Indices:
        """Positions in the image set, int64 ``[len(self)]``; a pure function.

        Args:
            seed: The run's seed, >= 0.
            epoch: From 0.
        """


class ShuffledSampler(Sampler):
    """Every image once, in a new order each epoch.

    Args:
        positions: Positions in the image set, or how many there are.
    """

    def __init__(self, positions: int | Indices) -> None:
        self._positions = np.arange(positions, dtype=np.int64) if isinstance(positions, int) else positions

    def __len__(self) -> int:
        return len(self._positions)

    def order(self, seed: int, epoch: int) -> Indices:
        """A permutation."""
        return generator(Stream.ORDER, seed, epoch).permutation(self._positions)


class BalancedSampler(Sampler):
    """Every class equally often, in epochs of about as many images as there are.

    Each class deals its images like cards: all of them in random order, then all of them again in another, and so on;
    an epoch goes on where the one before ended. So the images of a class are used equally often (to one), over any
    number of epochs. Large classes need several epochs to show all images; small ones repeat theirs within one.

    Args:
        labels: Class numbers, int64 ``[N]``.
        positions: Positions of the images that take part, ``[M]``, M >= 1; by default all. Classes without images count
            for nothing.
    """

    def __init__(self, labels: npt.NDArray[np.integer], positions: Indices | None = None) -> None:
        chosen = np.arange(len(labels), dtype=np.int64) if positions is None else positions
        classes = labels[chosen]
        present = np.unique(classes)
        self._members = [(int(number), chosen[classes == number]) for number in present]
        self._share = -(-len(chosen) // len(present))

    def __len__(self) -> int:
        return self._share * len(self._members)

    def order(self, seed: int, epoch: int) -> Indices:
        """The share of each class, shuffled together."""
        dealt = [self._dealt(number, members, seed, epoch) for number, members in self._members]
        return generator(Stream.ORDER, seed, epoch).permutation(np.concatenate(dealt))

    def _dealt(self, number: int, members: Indices, seed: int, epoch: int) -> Indices:
        start, stop = epoch * self._share, (epoch + 1) * self._share
        first, last = start // len(members), (stop - 1) // len(members)
        rounds = [generator(Stream.CLASS_ORDER, seed, number, turn) for turn in range(first, last + 1)]
        cards = np.concatenate([rng.permutation(members) for rng in rounds])
        return cards[start - first * len(members) : stop - first * len(members)]


class WeightedSampler(Sampler):
    """Every image as often as its weight says, in epochs of as many images as there are.

    Systematic resampling (Kitagawa, "Monte Carlo Filter and Smoother", JCGS 1996, appendix): image i is expected
    N w_i / sum(w) times an epoch, and comes that often, rounded down or up. Images of weight 0 never come.

    Args:
        weights: Numbers >= 0, ``[N]``, not all 0.

    Raises:
        ValueError: They are not.
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
        """The images that equal steps through the weights meet, shuffled."""
        rng, count = generator(Stream.DRAW, seed, epoch), len(self)
        steps = (rng.random() + np.arange(count)) * (self._bounds[-1] / count)
        met = np.searchsorted(self._bounds, steps, side="right")
        return rng.permutation(np.minimum(met, self._last).astype(np.int64))


def make_sampler(sampling: Literal["natural", "balanced", "weighted"], images: ImageSet) -> Sampler | None:
    """The sampler of a set of training images; those of weight 0 are left out.

    Args:
        sampling: ``natural``, ``balanced`` (images with classes) or ``weighted`` (images with weights).
        images: The set.

    Returns:
        None for every image once, which a loader does by itself.

    Raises:
        ValueError: The images have no classes, or no weights.
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
    """How often each position came before in an order, int64 ``[N]``: 0 where it comes for the first time."""
    by_position = np.argsort(order, kind="stable")
    ordered = order[by_position]
    begins = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    counts = np.empty(len(order), np.int64)
    counts[by_position] = np.arange(len(order)) - np.repeat(begins, np.diff(np.r_[begins, len(order)]))
    return counts
