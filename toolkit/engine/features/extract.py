"""Run the frozen part of a network over many images.

ONNX Runtime releases the GIL, so each thread reads and computes its own images; Paddle Inference does not, so processes
are used. Either way, watched threads read the images: a file system that no longer responds leads to an error (see
``toolkit.data.pool``).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
import paddle
from numpy.typing import NDArray

from toolkit.core.errors import ToolkitError
from toolkit.core.evaluation import evaluating
from toolkit.data import BatchLoader
from toolkit.data.pool import ReaderPool
from toolkit.engine.features.runners import BATCH, StageSlice, workers
from toolkit.inference import Floats, TracedProgram
from toolkit.zoo import StagedNetwork

_CHUNK = 32
"""Images per task of a worker."""
_WORTH_PROCESSES = 15.0
"""Seconds of work that justify starting processes, which must load Paddle first."""
_AHEAD = 2
_FEW = 4
"""Images on which engines are compared: a batch, as ``BATCH`` has it."""


class Rows(Protocol):
    """The source of the inputs.

    Attributes:
        portable: Whether another process can read them too.
    """

    portable: ClassVar[bool]

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The inputs ``[len(rows), ...]`` of the given rows."""


@dataclass(frozen=True)
class ImageRows:
    """Images as the network sees them in a given epoch.

    Attributes:
        loader: Reads and prepares them.
        epoch: Epoch that determines the loader's augmentation, if any.
        pool: Threads that read; None: the caller's thread reads, without a time limit.
    """

    portable: ClassVar[bool] = True
    loader: BatchLoader
    epoch: int = 0
    pool: ReaderPool | None = None

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images ``[len(rows), C, S, S]``."""
        return self.loader.read(rows, self.epoch, self.pool)

    def ahead(self, chunks: Sequence[NDArray[np.int64]]) -> Generator[NDArray[np.float32]]:
        """Images ``[len(rows), C, S, S]`` of each chunk, read by the loader's threads while the caller computes."""
        return self.loader.read_ahead(chunks, self.epoch)


def few_rows(
    loader: BatchLoader, network: StagedNetwork | None = None, start: int = 0
) -> Callable[[], NDArray[np.float32]]:
    """Four images from across a loader's set, as the network sees them, on which engines are compared.

    Args:
        loader: Reads the images; watched, with its own time limit.
        network: Computes the stages below, if any.
        start: Number of stages already applied to the inputs.

    Returns:
        A function that returns the inputs, ``[4, ...]``, or fewer if there are fewer images.
    """

    def read() -> NDArray[np.float32]:
        count = len(loader.images)
        rows = np.linspace(0, count - 1, min(_FEW, count)).astype(np.int64)
        with closing(ImageRows(loader).ahead([rows])) as batches:
            images = next(batches)
        if network is None or start == 0:
            return images
        with evaluating(network):
            features: NDArray[np.float32] = network.features(paddle.to_tensor(images), start).numpy()
        return features

    return read


@dataclass(frozen=True)
class FeatureRows:
    """Features at a lower boundary.

    Attributes:
        features: The features, indexed by rows.
    """

    portable: ClassVar[bool] = False
    features: Any

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Features ``[len(rows), C, H, W]`` as float32."""
        return np.asarray(self.features[rows], np.float32)


@dataclass
class _Worker:
    """Reads rows and computes their features.

    Attributes:
        source: The source of the inputs.
        run: Maps a batch to features.
        batch: Rows per call.
    """

    source: Rows
    run: Callable[[NDArray[np.float32]], Floats]
    batch: int

    def __call__(self, rows: NDArray[np.int64]) -> Floats:
        parts = [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]
        return np.concatenate([self.run(self.source(stage_slice)) for stage_slice in parts])


def extract(stage_slice: StageSlice, program: TracedProgram | None, source: Rows, rows: range) -> Iterator[Floats]:
    """Compute features of a range of rows, block by block in order.

    Args:
        stage_slice: The stages to compute.
        program: The traced stages; None to run them in dygraph.
        source: The source of the inputs.
        rows: The rows to compute.

    Yields:
        ``[n, ...]`` for up to 32 rows each.

    Raises:
        ToolkitError: An image cannot be read (or none could for ``loader.timeout`` seconds), or a worker process died.
    """
    chunks = [np.arange(start, min(start + _CHUNK, rows.stop)) for start in range(rows.start, rows.stop, _CHUNK)]
    if program is None:
        yield from _in_dygraph(stage_slice, source, chunks)
    elif program.engine == "onnx":
        yield from _in_threads(program, source, chunks)
    else:
        yield from _in_processes(program, source, chunks)


@contextmanager
def _watched(source: Rows, threads: int) -> Iterator[Rows]:
    """The source; within the context, a thread pool reads images."""
    if not isinstance(source, ImageRows):
        yield source
        return
    with ReaderPool(threads, source.loader.timeout) as pool:
        yield replace(source, pool=pool)


def _in_dygraph(stage_slice: StageSlice, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    """Compute in this thread, which owns the GPU, while others read."""
    stage_slice.network.eval()
    size = BATCH["dygraph"]
    read = source.ahead(chunks) if isinstance(source, ImageRows) else (source(rows) for rows in chunks)
    with closing(read):
        for inputs in read:
            with paddle.no_grad():
                pieces = [inputs[start : start + size] for start in range(0, len(inputs), size)]
                block = np.concatenate([stage_slice(paddle.to_tensor(piece)).numpy() for piece in pieces])
            yield block


def _in_threads(program: TracedProgram, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    count = min(workers(), len(chunks))
    free: deque[_Worker] = deque()

    def work(rows: NDArray[np.int64]) -> Floats:
        worker = free.popleft()  # one per thread
        try:
            return worker(rows)
        finally:
            free.append(worker)

    # Stop reading first, so that no computing thread waits for it.
    with ThreadPoolExecutor(count, thread_name_prefix="features") as pool, _watched(source, count) as watched:
        free.extend(_Worker(watched, program.load(1), BATCH[program.engine]) for _ in range(count))
        yield from _ordered(pool, work, chunks, count)


def _in_processes(program: TracedProgram, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    """Start in this process; if the rest would take long, use one process per core."""
    with _watched(source, 1) as watched:
        worker = _Worker(watched, program.load(workers()), BATCH[program.engine])
        worker(chunks[0][:1])  # the first call prepares oneDNN's kernels
        began = time.monotonic()
        for done, rows in enumerate(chunks, 1):
            yield worker(rows)
            left = (time.monotonic() - began) / done * (len(chunks) - done)
            if source.portable and left > _WORTH_PROCESSES and workers() > 1:
                break
        else:
            return
    yield from _by_pool(program, source, chunks[done:])


def _by_pool(program: TracedProgram, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    # loky's workers do not import the user's script, so that it needs no `if __name__ == "__main__"`.
    from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

    count = min(workers(), len(chunks))
    environment = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}  # Paddle warns at import
    pool = ProcessPoolExecutor(count, initializer=_start_worker, initargs=(program, source), env=environment)
    try:
        yield from _ordered(pool, _work, chunks, count)
    except BrokenExecutor as error:
        raise ToolkitError(
            "a process that computes features died, probably out of memory",
            hint="run again to continue where it stopped; cache.engine: dygraph uses less memory",
        ) from error
    finally:
        pool.shutdown(kill_workers=True)


_worker: _Worker | None = None
"""The worker of a pool process."""


def _start_worker(program: TracedProgram, source: Rows) -> None:
    global _worker
    if isinstance(source, ImageRows):
        source = replace(source, pool=ReaderPool(1, source.loader.timeout))  # for the lifetime of the process
    _worker = _Worker(source, program.load(1), BATCH[program.engine])


def _work(rows: NDArray[np.int64]) -> Floats:
    if _worker is None:
        raise RuntimeError("the process was not started as a worker")
    return _worker(rows)


def _ordered(
    pool: Executor, work: Callable[[NDArray[np.int64]], Floats], chunks: Sequence[NDArray[np.int64]], count: int
) -> Iterator[Floats]:
    """Yield results in the order of the chunks, computing a few ahead."""
    waiting: deque[Future[Floats]] = deque()
    try:
        for rows in chunks:
            waiting.append(pool.submit(work, rows))
            if len(waiting) > count + _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
