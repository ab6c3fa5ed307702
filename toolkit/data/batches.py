"""Batches for training and evaluation, made by a pool of threads.

OpenCV releases Python's lock while it decodes and resizes, so threads are enough: nothing is copied between processes,
and an exception in a worker reaches the consumer. Order depends on (seed, epoch), and the random changes of a picture
on (seed, epoch, its index), so the batches are the same for any number of workers.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from toolkit.data.augmentation import Augmentation
from toolkit.data.channels import Pixels
from toolkit.data.images import ImageSet, Indices, Labels
from toolkit.data.preprocessing import Preprocessing
from toolkit.data.sharding import shard
from toolkit.errors import DataError

__all__ = ["Batch", "BatchLoader"]

_MAX_WORKERS = 8
_AHEAD = 2
_ORDER, _CHANGE = 1, 2  # two independent streams of random numbers from one seed


@dataclass(frozen=True)
class Batch:
    """Pictures for one step.

    Attributes:
        inputs: Normalised pixels, float32 ``[N, C, S, S]``.
        labels: Class numbers, int64 ``[N]``; or the rows of the image set's labels, float32 ``[N, ...]``.
        indices: Positions in the image set, int64 ``[N]``.
    """

    inputs: npt.NDArray[np.float32]
    labels: Labels
    indices: Indices

    def __len__(self) -> int:
        return len(self.labels)


class BatchLoader:
    """Iterate over an image set in batches.

    Without ``drop_last`` every picture comes exactly once an epoch, over all ranks, with no padding. All ranks make the
    same number of batches, as data-parallel training needs (see ``toolkit.data.sharding``).

    Args:
        images: What to read.
        preprocessing: Resize, crop and normalisation.
        batch_size: Pictures a batch on this rank, >= 1.
        augmentation: Random changes; None (or level ``none``): resize and centre crop of ``preprocessing``.
        shuffle: A new order each epoch; else the set's order.
        seed: Seed of order and random changes, >= 0.
        workers: Threads, 0 for none; None: one a core, at most 8.
        drop_last: Leave out the last pictures that do not fill a batch.
        rank: Number of this process, in 0..world_size-1.
        world_size: Number of processes that share the set.

    Raises:
        DataError: The set leaves no batch, or too few pictures for the processes.
    """

    def __init__(
        self,
        images: ImageSet,
        preprocessing: Preprocessing,
        *,
        batch_size: int,
        augmentation: Augmentation | None = None,
        shuffle: bool = False,
        seed: int = 0,
        workers: int | None = None,
        drop_last: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if augmentation is not None and augmentation.image_size != preprocessing.image_size:
            raise ValueError(f"augmentation makes {augmentation.image_size} px, not {preprocessing.image_size}")
        if images.channels != preprocessing.channels:
            raise ValueError(f"images of {images.channels} channel(s), but preprocessing for {preprocessing.channels}")
        self.images = images
        self.preprocessing = preprocessing
        self.augmentation = augmentation if augmentation is not None and augmentation.is_random else None
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0
        self.workers = _default_workers() if workers is None else workers
        self._bounds = shard(
            len(images), batch_size, rank=rank, world_size=world_size, drop_last=drop_last, equal=shuffle or drop_last
        )
        self._rank, self._world_size = rank, world_size
        if shuffle and len(self._bounds) < 2:
            raise DataError(
                f"{len(images)} training images leave no batch of {batch_size} on {world_size} process(es)",
                hint="use a smaller data.batch_size, fewer processes, or more images",
            )

    def __len__(self) -> int:
        """Number of batches on this rank."""
        return len(self._bounds) - 1

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch (0-based) that the next iteration makes."""
        self.epoch = epoch

    def index_batches(self) -> list[Indices]:
        """Positions in the image set, int64 ``[N]`` for each batch of this epoch on this rank."""
        everything = np.arange(len(self.images), dtype=np.int64)
        if self.shuffle:
            everything = np.random.default_rng((_ORDER, self.seed, self.epoch)).permutation(everything)
        mine = everything[self._rank :: self._world_size]
        return [mine[start:stop] for start, stop in pairwise(self._bounds)]

    def view(self, index: int) -> Pixels:
        """One picture as the network sees it in this epoch, before normalisation.

        Args:
            index: Position in the image set.

        Returns:
            uint8 ``[image_size, image_size, C]``.
        """
        return self._view(index, self.epoch)

    def __iter__(self) -> Iterator[Batch]:
        cv2.setNumThreads(1)  # the pool has a thread a core already
        return (self._with_pool if self.workers else self._alone)(self.index_batches(), self.epoch)

    def _alone(self, batches: list[Indices], epoch: int) -> Iterator[Batch]:
        for indices in batches:
            batch = self._empty(indices)
            self._fill(batch, slice(None), epoch)
            yield batch

    def _with_pool(self, batches: list[Indices], epoch: int) -> Iterator[Batch]:
        """Keep a few batches in the making; each is split among the threads, which write into its array."""
        waiting: deque[tuple[Batch, list[Future[None]]]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="images")
        try:
            for indices in batches:
                batch = self._empty(indices)
                parts = [slice(part, None, self.workers) for part in range(min(self.workers, len(indices)))]
                waiting.append((batch, [pool.submit(self._fill, batch, part, epoch) for part in parts]))
                if len(waiting) > _AHEAD:
                    yield _finished(*waiting.popleft())
            while waiting:
                yield _finished(*waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _empty(self, indices: Indices) -> Batch:
        side, channels = self.preprocessing.image_size, self.preprocessing.channels
        inputs = np.empty((len(indices), channels, side, side), np.float32)
        return Batch(inputs, self.images.labels[indices], indices)

    def _fill(self, batch: Batch, part: slice, epoch: int) -> None:
        for row in range(len(batch))[part]:
            self.preprocessing.normalise(self._view(int(batch.indices[row]), epoch), out=batch.inputs[row])

    def _view(self, index: int, epoch: int) -> Pixels:
        image = self.images.read(index)
        if self.augmentation is None:
            return self.preprocessing.geometry(image)
        return self.augmentation(image, np.random.default_rng((_CHANGE, self.seed, epoch, index)))


def _default_workers() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return min(_MAX_WORKERS, len(affinity(0)) if affinity else (os.cpu_count() or 1))


def _finished(batch: Batch, parts: list[Future[None]]) -> Batch:
    for part in parts:
        part.result()
    return batch
