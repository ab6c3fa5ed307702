"""Random numbers as functions of a seed and a position, so that any process, worker or resumed run draws the same."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for: one seed gives each purpose a stream of its own.

    The values decide results and never change. Two names share a value where seeds differ (``split_seed`` and
    ``seed``) or more numbers follow.
    """

    SPLIT = 1
    """Which images are held out, of a class or a range."""
    SUBSET = 2
    """Which images stay where a set is limited."""
    ORDER = 1
    """In which order an epoch takes the images."""
    AUGMENTATION = 2
    """How an image is changed (``toolkit.data.random`` computes these streams for whole batches)."""
    CLASS_ORDER = 3
    """In which order balanced sampling takes the images of a class."""
    DRAW = 4
    """Which images weighted sampling draws."""
    MIXUP = 5
    """Which images are mixed, and how."""
    SHORT_TRAINING = 7
    """Dropout in a training beside a run."""
    RANGE_TEST = 23
    """Which images a learning-rate range test sees."""
    RATE_SEARCH = 29
    """Which images a search for a learning rate holds out."""
    VIEWS = 31
    """Which views test-time augmentation takes."""
    CORRUPTION = 37
    """How an evaluation image is corrupted."""
    JACKKNIFE = 41
    """Which images are left out together, for the error of a metric."""
    FOLDS = 6
    """Which images each fold of a cross-validation holds out."""
    ADVICE_SAMPLE = 3
    """Which images the advisor looks at."""
    ADVICE_CLASSES = 4
    """Which classes the advisor's probes tell apart, where there are too many."""


def generator(stream: Stream, *position: int) -> np.random.Generator:
    """A generator for one purpose at one position.

    Args:
        stream: The purpose.
        position: The seed and whatever follows: epoch, index, ...; integers >= 0.
    """
    return np.random.default_rng((int(stream), *position))


def derived_seed(*numbers: int) -> int:
    """A seed of 32 bits made of several numbers, such as seed, epoch and step; integers >= 0."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
