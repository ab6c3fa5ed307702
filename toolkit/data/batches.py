"""Batches for training and evaluation, made by a pool of threads.

OpenCV releases Python's lock while it decodes and resizes, so threads are enough: nothing is copied between processes,
and an exception in a worker reaches the consumer. Order depends on (seed, epoch), and the random changes of a picture
on (seed, epoch, its index, and how often it came before in the epoch), so the batches are the same for any number of
workers.

Evaluation decodes in full, as prediction does. Random crops may come from a JPEG decoded at a reduced size
(``toolkit.data.reduced``), as long as they keep ``image_size`` rows and columns.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DataError
from toolkit.core.runtime import available_cores
from toolkit.data.augmentation import Augmentation
from toolkit.data.channels import Pixels
from toolkit.data.crop import whole
from toolkit.data.image_cache import ImageCache
from toolkit.data.images import ArrayImages, ImageSet, Indices, Labels, Weights
from toolkit.data.pool import ReaderPool
from toolkit.data.preprocessing import Preprocessing
from toolkit.data.random import Beginning, beginnings, generators
from toolkit.data.sampling import Sampler, ShuffledSampler, occurrences
from toolkit.data.sharding import shard

_MAX_WORKERS = 8
_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Pictures for one step.

    Attributes:
        inputs: Normalised pixels, float32 ``[N, C, S, S]``.
        labels: Class numbers, int64 ``[N]``; or the rows of the image set's labels, float32 ``[N, ...]``. Of mixed
            pictures: shares of the classes, float32 ``[N, C]``, or mixed rows.
        indices: Positions in the image set, int64 ``[N]``.
        weights: How much each mixed picture counts in the loss, float32 ``[N]``; None: as ``indices`` say.
    """

    inputs: npt.NDArray[np.float32]
    labels: Labels
    indices: Indices
    weights: Weights | None = None

    def __len__(self) -> int:
        return len(self.labels)


class BatchLoader:
    """Iterate over an image set in batches.

    Without ``drop_last`` and ``sampler`` every picture comes exactly once an epoch, over all ranks, with no padding.
    All ranks make the same number of batches, as data-parallel training needs (see ``toolkit.data.sharding``).

    Args:
        images: What to read.
        preprocessing: Resize, crop and normalisation.
        batch_size: Pictures a batch on this rank, >= 1.
        augmentation: Random changes; None (or level ``none``): resize and centre crop of ``preprocessing``.
        shuffle: A new order each epoch; else the set's order.
        sampler: Which pictures an epoch takes, and in which order; by default all, as ``shuffle`` says.
        seed: Seed of order and random changes, >= 0.
        workers: Threads, 0 for none; None: one a core, at most 8.
        timeout: Seconds without an image done after which the threads are given up, > 0; iteration without threads
            knows no limit.
        fast_decoding: Random crops may be taken from JPEGs decoded at a reduced size.
        cache: Where decoded files are kept from epoch to epoch; loaders may share it. Batches are the same to the bit,
            but for random crops with ``fast_decoding`` from JPEGs whose short side is twice ``image_size`` or more:
            all are then cut from one reduced picture, and not each from the smallest that will do.
        drop_last: Leave out the last pictures that do not fill a batch.
        rank: Number of this process, in 0..world_size-1.
        world_size: Number of processes that share the set.
        together: Pictures a batch of all ranks, of which each takes its share, at most ``batch_size``; None:
            ``batch_size`` on each of them.

    Raises:
        DataError: The set leaves no batch, or too few pictures for the processes.
    """

    start_stage = 0

    def __init__(
        self,
        images: ImageSet,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        sampler: Sampler | None = None,
        seed: int = 0,
        workers: int | None = None,
        timeout: float = 300.0,
        fast_decoding: bool = True,
        cache: ImageCache | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        together: int | None = None,
    ) -> None:
        if augmentation is not None and augmentation.image_size != preprocessing.image_size:
            raise ValueError(f"augmentation makes {augmentation.image_size} px, not {preprocessing.image_size}")
        if images.channels != preprocessing.channels:
            raise ValueError(f"images of {images.channels} channel(s), but preprocessing for {preprocessing.channels}")
        self.images = images.with_decoding(preprocessing.decoding)
        self.preprocessing = preprocessing
        self.augmentation = augmentation if augmentation is not None and augmentation.is_random else None
        self.batch_size = batch_size
        self.sampler = ShuffledSampler(len(images)) if shuffle and sampler is None else sampler
        self.seed = seed
        self.epoch = 0
        self.start = 0
        self.workers = min(_MAX_WORKERS, available_cores()) if workers is None else workers
        self.timeout = timeout
        self.fast_decoding = fast_decoding
        self.cache = None if isinstance(images, ArrayImages) else cache
        total, equal = len(images) if self.sampler is None else len(self.sampler), drop_last or self.sampler is not None
        self.together = batch_size * world_size if together is None else together
        if self.together < world_size:
            raise DataError(
                f"{world_size} processes cannot share batches of {self.together} image(s)",
                hint="use a larger data.batch_size, or fewer processes",
            )
        share = {"rank": rank, "world_size": world_size, "together": self.together}
        self._bounds = shard(total, batch_size, **share, drop_last=drop_last, equal=equal)
        self._rank, self._world_size = rank, world_size
        if self.sampler is not None and len(self._bounds) < 2:
            raise DataError(
                f"{total} training images leave no batch of {batch_size} on {world_size} process(es)",
                hint="use a smaller data.batch_size, fewer processes, or more images",
            )

    @property
    def labels(self) -> Labels:
        """Labels of all images, a row each, in the order of the image set."""
        return self.images.labels

    def __len__(self) -> int:
        """Number of batches on this rank."""
        return len(self._bounds) - 1

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Choose the epoch (0-based) that the next iteration makes, and its first batch: those before are not read."""
        self.epoch, self.start = epoch, start

    def index_batches(self) -> list[Indices]:
        """Positions in the image set, int64 ``[N]`` for each batch of this epoch on this rank."""
        return self._in_batches(self._order())

    def _order(self) -> Indices:
        if self.sampler is not None:
            return self.sampler.order(self.seed, self.epoch)
        return np.arange(len(self.images), dtype=np.int64)

    def _in_batches(self, everything: Indices) -> list[Indices]:
        """This rank's part of what there is for each position of the order."""
        mine = everything[self._rank :: self._world_size]
        return [mine[start:stop] for start, stop in pairwise(self._bounds)]

    def uncached(self) -> BatchLoader:
        """The same batches, with every picture read from its file."""
        changed = copy.copy(self)
        changed.cache = None
        return changed

    def view(self, index: int) -> Pixels:
        """One picture as the network sees it in this epoch (the first time), before normalisation.

        Args:
            index: Position in the image set.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        chances = self._chances(np.array([index]), np.zeros(1, np.int64), self.epoch)
        return self._view(index, next(generators(chances), None))

    def read(self, indices: Indices, epoch: int, pool: ReaderPool | None = None) -> npt.NDArray[np.float32]:
        """Some pictures, by position, as the network sees them in an epoch.

        Args:
            indices: Positions in the image set, int64 ``[N]``.
            epoch: Whose random changes are made, from 0.
            pool: One of its threads reads, watched; None: the caller's thread does, without a limit.

        Returns:
            Normalised pixels, float32 ``[N, C, S, S]``.

        Raises:
            DataError: A picture cannot be read, or the pool gives up.
        """
        cv2.setNumThreads(1)
        batch = self._empty(indices)
        fill = partial(self._fill, batch, self._chances(indices, np.zeros_like(indices), epoch), slice(None), pool)
        if pool is None:
            fill()
        else:
            pool.finish(pool.submit(fill))
        return batch.inputs

    def read_ahead(self, parts: Sequence[Indices], epoch: int) -> Generator[npt.NDArray[np.float32]]:
        """As ``read``, one part after the other, by the loader's threads (at least one), a few parts ahead.

        Args:
            parts: Positions in the image set, int64 ``[N]`` each.
            epoch: Whose random changes are made, from 0.

        Yields:
            Normalised pixels of a part, float32 ``[N, C, S, S]``.

        Raises:
            DataError: A picture cannot be read, or none was done for ``timeout`` seconds.
        """
        cv2.setNumThreads(1)
        with closing(self._with_pool([(part, np.zeros_like(part)) for part in parts], epoch)) as batches:
            for batch in batches:
                yield batch.inputs

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)  # the pool has a thread a core already
        repeats = self._in_batches(occurrences(self._order()))
        batches = list(zip(self.index_batches(), repeats, strict=True))[self.start :]
        return (self._with_pool if self.workers else self._alone)(batches, self.epoch)

    def _alone(self, batches: list[tuple[Indices, Indices]], epoch: int) -> Iterator[Batch]:
        for indices, repeats in batches:
            batch = self._empty(indices)
            self._fill(batch, self._chances(indices, repeats, epoch), slice(None))
            yield batch

    def _with_pool(self, batches: list[tuple[Indices, Indices]], epoch: int) -> Generator[Batch]:
        """Keep a few batches in the making; each is split among the threads, which write into its array."""
        waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
        workers = max(1, self.workers)
        with ReaderPool(workers, self.timeout) as pool:
            for indices, repeats in batches:
                batch, chances = self._empty(indices), self._chances(indices, repeats, epoch)
                parts = [slice(part, None, workers) for part in range(min(workers, len(indices)))]
                tasks = [partial(self._fill, batch, chances, part, pool) for part in parts]
                waiting.append((batch, [pool.submit(task) for task in tasks]))
                if len(waiting) > _AHEAD:
                    yield _finished(pool, *waiting.popleft())
            while waiting:
                yield _finished(pool, *waiting.popleft())

    def _empty(self, indices: Indices) -> Batch:
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        inputs = np.empty((len(indices), channels, side, side), np.float32)
        return Batch(inputs, self.images.labels[indices], indices)

    def _chances(self, indices: Indices, repeats: Indices, epoch: int) -> Sequence[Beginning]:
        """Where the random numbers of some pictures begin; nothing where there are none."""
        return [] if self.augmentation is None else beginnings(self.seed, epoch, indices, repeats)

    def _fill(self, batch: Batch, chances: Sequence[Beginning], part: slice, pool: ReaderPool | None = None) -> None:
        rngs = generators(chances[part])
        for row in range(len(batch))[part]:
            index = int(batch.indices[row])
            if pool is not None:
                pool.begin(self.images.path(index))
            self.preprocessing.normalise(self._view(index, next(rngs, None)), out=batch.inputs[row])

    def _view(self, index: int, rng: np.random.Generator | None) -> Pixels:
        if self.augmentation is None or rng is None:
            return self._kept(index, self._centre, (self.preprocessing.resize_to, self.preprocessing.image_size))
        if self.cache is None and self.fast_decoding:
            choose = partial(self.augmentation.crop, rng=rng)
            return self.augmentation.change(self.images.read_part(index, choose, self.augmentation.image_size), rng)
        if self.fast_decoding:
            return self.augmentation(self._kept(index, self._for_every_crop, self.augmentation.least_side), rng)
        return self.augmentation(self._kept(index, self.images.read, "whole"), rng)

    def _kept(self, index: int, make: Callable[[int], Pixels], kind: Hashable) -> Pixels:
        if self.cache is None:
            return make(index)
        return self.cache.get(
            (self.images.path(index), self.images.channels, self.images.decoding, kind), partial(make, index)
        )

    def _centre(self, index: int) -> Pixels:
        return self.preprocessing.geometry(self.images.read(index))

    def _for_every_crop(self, index: int) -> Pixels:
        assert self.augmentation is not None
        return self.images.read_part(index, whole, self.augmentation.least_side)


def _finished(pool: ReaderPool, batch: Batch, parts: list[Future[None]]) -> Batch:
    for part in parts:
        pool.finish(part)
    return batch
