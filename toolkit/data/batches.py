"""Batches for training and evaluation, prepared by a pool of threads.

OpenCV releases the GIL while it decodes and resizes, so threads are enough: nothing is copied between processes, and an
exception in a worker reaches the consumer. The order depends on (seed, epoch), and the augmentation of an image on
(seed, epoch, index, number of earlier occurrences in the epoch), so batches do not depend on the number of workers.

Evaluation decodes at full size, like prediction. Random crops may come from a JPEG decoded at a reduced size
(``toolkit.data.reduced``), provided they keep ``image_size`` rows and columns.
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
from toolkit.data.random import StreamState, generators, stream_states
from toolkit.data.sampling import Sampler, ShuffledSampler, occurrences
from toolkit.data.sharding import shard

_MAX_WORKERS = 8
_AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """Images for one step.

    Attributes:
        inputs: Normalised pixels, float32 ``[N, C, S, S]``.
        labels: Class indices, int64 ``[N]``; or rows of the image set's labels, float32 ``[N, ...]``. For mixed
            images: class shares, float32 ``[N, C]``, or mixed rows.
        indices: Positions in the image set, int64 ``[N]``.
        weights: Weight of each mixed image in the loss, float32 ``[N]``; None: look weights up by ``indices``.
    """

    inputs: npt.NDArray[np.float32]
    labels: Labels
    indices: Indices
    weights: Weights | None = None

    def __len__(self) -> int:
        return len(self.labels)


class BatchLoader:
    """Iterate over an image set in batches.

    Without ``drop_last`` and ``sampler``, every image appears exactly once per epoch across all ranks, without padding.
    All ranks yield the same number of batches, as data-parallel training requires (see ``toolkit.data.sharding``).

    Args:
        images: Images to read.
        preprocessing: Resize, crop and normalisation.
        batch_size: Images per batch on this rank, >= 1.
        augmentation: Random changes; None (or level ``none``): resize and centre crop by ``preprocessing``.
        shuffle: Use a new order in each epoch instead of the set's order.
        sampler: Chooses and orders the images of an epoch; by default all images, ordered according to ``shuffle``.
        seed: Seed for the order and the random changes, >= 0.
        workers: Number of threads, 0 for none; None: one per core, at most 8.
        timeout: Give up after this many seconds without a finished image, > 0; without threads there is no limit.
        fast_decoding: Allow random crops from JPEGs decoded at a reduced size.
        change: Corrupts an image as the network sees it, given its position in the set; for evaluation only.
        cache: Keeps decoded files between epochs; loaders may share it. Batches are bitwise the same, except for
            random crops with ``fast_decoding`` from JPEGs whose short side is at least twice ``image_size``: all of
            them are cut from one reduced image instead of the smallest size that suffices for each.
        drop_last: Drop the last images if they do not fill a batch.
        rank: Index of this process, in 0..world_size-1.
        world_size: Number of processes that share the set.
        global_batch_size: Images per batch over all ranks; each rank takes its share, at most ``batch_size``. None:
            ``batch_size`` on every rank.

    Raises:
        DataError: There are too few images for a single batch, or for the number of processes.
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
        change: Callable[[Pixels, int], Pixels] | None = None,
        cache: ImageCache | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
        global_batch_size: int | None = None,
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
        self.change = change
        self.cache = None if isinstance(images, ArrayImages) else cache
        total, equal = len(images) if self.sampler is None else len(self.sampler), drop_last or self.sampler is not None
        self.global_batch_size = batch_size * world_size if global_batch_size is None else global_batch_size
        if self.global_batch_size < world_size:
            raise DataError(
                f"{world_size} processes cannot share batches of {self.global_batch_size} image(s)",
                hint="use a larger data.batch_size, or fewer processes",
            )
        share = {"rank": rank, "world_size": world_size, "global_batch_size": self.global_batch_size}
        self._bounds = shard(total, batch_size, **share, drop_last=drop_last, equal=equal)
        self._rank, self._world_size = rank, world_size
        if self.sampler is not None and len(self._bounds) < 2:
            raise DataError(
                f"{total} training images leave no batch of {batch_size} on {world_size} process(es)",
                hint="use a smaller data.batch_size, fewer processes, or more images",
            )

    @property
    def labels(self) -> Labels:
        """Labels of all images, one row per image, in the order of the image set."""
        return self.images.labels

    def __len__(self) -> int:
        """Number of batches on this rank."""
        return len(self._bounds) - 1

    def set_epoch(self, epoch: int, start: int = 0) -> None:
        """Set the epoch (0-based) of the next iteration and its first batch; earlier batches are not read."""
        self.epoch, self.start = epoch, start

    def index_batches(self) -> list[Indices]:
        """Positions in the image set for each batch of this epoch on this rank, int64 ``[N]`` each."""
        return self._in_batches(self._order())

    def _order(self) -> Indices:
        if self.sampler is not None:
            return self.sampler.order(self.seed, self.epoch)
        return np.arange(len(self.images), dtype=np.int64)

    def _in_batches(self, values: Indices) -> list[Indices]:
        """Take this rank's share of values given for each position of the order, and divide it into batches."""
        mine = values[self._rank :: self._world_size]
        return [mine[start:stop] for start, stop in pairwise(self._bounds)]

    def uncached(self) -> BatchLoader:
        """Return the same batches, but with every image read from its file."""
        changed = copy.copy(self)
        changed.cache = None
        return changed

    def of_whole(self) -> BatchLoader:
        """Return a loader of the set that this one's images are a part of (``ImageSet.whole``), in order."""
        assert self.images.whole is not None
        whole, _ = self.images.whole
        return BatchLoader(
            whole, self.preprocessing, batch_size=self.batch_size, workers=self.workers, timeout=self.timeout
        )

    def view(self, index: int) -> Pixels:
        """Return one image as the network sees it at its first occurrence in this epoch, before normalisation.

        Args:
            index: Position in the image set.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        states = self._states(np.array([index]), np.zeros(1, np.int64), self.epoch)
        return self._view(index, next(generators(states), None))

    def read(self, indices: Indices, epoch: int, pool: ReaderPool | None = None) -> npt.NDArray[np.float32]:
        """Read some images, by position, as the network sees them in an epoch.

        Args:
            indices: Positions in the image set, int64 ``[N]``.
            epoch: Epoch (0-based) whose random changes are applied.
            pool: Read in one of its threads, with a timeout; None: read in the caller's thread, without a timeout.

        Returns:
            Normalised pixels, float32 ``[N, C, S, S]``.

        Raises:
            DataError: An image cannot be read, or the pool gives up.
        """
        cv2.setNumThreads(1)
        batch = self._empty(indices)
        fill = partial(self._fill, batch, self._states(indices, np.zeros_like(indices), epoch), slice(None), pool)
        if pool is None:
            fill()
        else:
            pool.finish(pool.submit(fill))
        return batch.inputs

    def read_ahead(self, chunks: Sequence[Indices], epoch: int) -> Generator[npt.NDArray[np.float32]]:
        """Like ``read``, one chunk after another, with the loader's threads (at least one) working a few chunks ahead.

        Args:
            chunks: Positions in the image set, int64 ``[N]`` each.
            epoch: Epoch (0-based) whose random changes are applied.

        Yields:
            Normalised pixels of a chunk, float32 ``[N, C, S, S]``.

        Raises:
            DataError: An image cannot be read, or no image was finished for ``timeout`` seconds.
        """
        cv2.setNumThreads(1)
        with closing(self._with_pool([(chunk, np.zeros_like(chunk)) for chunk in chunks], epoch)) as batches:
            for batch in batches:
                yield batch.inputs

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)  # the pool already has one thread per core
        repeats = self._in_batches(occurrences(self._order()))
        batches = list(zip(self.index_batches(), repeats, strict=True))[self.start :]
        return (self._with_pool if self.workers else self._alone)(batches, self.epoch)

    def _alone(self, batches: list[tuple[Indices, Indices]], epoch: int) -> Iterator[Batch]:
        for indices, repeats in batches:
            batch = self._empty(indices)
            self._fill(batch, self._states(indices, repeats, epoch), slice(None))
            yield batch

    def _with_pool(self, batches: list[tuple[Indices, Indices]], epoch: int) -> Generator[Batch]:
        """Prepare a few batches ahead; the threads share the images of a batch and write into its array."""
        waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
        workers = max(1, self.workers)
        with ReaderPool(workers, self.timeout) as pool:
            for indices, repeats in batches:
                batch, states = self._empty(indices), self._states(indices, repeats, epoch)
                chunks = [slice(chunk, None, workers) for chunk in range(min(workers, len(indices)))]
                tasks = [partial(self._fill, batch, states, chunk, pool) for chunk in chunks]
                waiting.append((batch, [pool.submit(task) for task in tasks]))
                if len(waiting) > _AHEAD:
                    yield _finished(pool, *waiting.popleft())
            while waiting:
                yield _finished(pool, *waiting.popleft())

    def _empty(self, indices: Indices) -> Batch:
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        inputs = np.empty((len(indices), channels, side, side), np.float32)
        return Batch(inputs, self.images.labels[indices], indices)

    def _states(self, indices: Indices, repeats: Indices, epoch: int) -> Sequence[StreamState]:
        """Initial random states of some images; empty without augmentation."""
        return [] if self.augmentation is None else stream_states(self.seed, epoch, indices, repeats)

    def _fill(self, batch: Batch, states: Sequence[StreamState], chunk: slice, pool: ReaderPool | None = None) -> None:
        rngs = generators(states[chunk])
        for row in range(len(batch))[chunk]:
            index = int(batch.indices[row])
            if pool is not None:
                pool.begin(self.images.path(index))
            self.preprocessing.normalise(self._view(index, next(rngs, None)), out=batch.inputs[row])

    def _view(self, index: int, rng: np.random.Generator | None) -> Pixels:
        if self.augmentation is None or rng is None:
            seen = self._kept(index, self._centre, (self.preprocessing.resize_to, self.preprocessing.image_size))
            return seen if self.change is None else self.change(seen, index)
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


def _finished(pool: ReaderPool, batch: Batch, chunks: list[Future[None]]) -> Batch:
    for chunk in chunks:
        pool.finish(chunk)
    return batch
