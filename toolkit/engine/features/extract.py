"""Running the frozen part of a network over many images.

ONNX Runtime lets other threads run meanwhile, so that each thread reads and computes its own images; Paddle Inference
does not, so that processes do. Either way images are read in threads of their own, which are watched: a file system
that no longer answers ends in an error (see ``toolkit.data.pool``).
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
"""Images a task of a worker."""
_WORTH_PROCESSES = 15.0
"""Seconds of work from which on it pays to start processes, which load Paddle first."""
_AHEAD = 2
_FEW = 4
"""Images on which engines are compared: a batch, as ``BATCH`` has it."""


class Rows(Protocol):
    """Where the inputs come from.

    Attributes:
        portable: Whether another process can read them too.
    """

    portable: ClassVar[bool]

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Inputs ``[len(rows), ...]`` of some rows."""


@dataclass(frozen=True)
class ImageRows:
    """Images, as the network sees them in one epoch.

    Attributes:
        loader: Reads and prepares them.
        epoch: Whose random changes are made, where the loader makes some.
        pool: Threads that read; None: the caller's does, without a limit of time.
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
    """Four images, spread over a loader's set, as the network sees them: what engines are compared on.

    Args:
        loader: Reads them; watched, with its own limit of time.
        network: Computes the stages below, where there are some.
        start: Number of stages that the inputs have behind them.

    Returns:
        A function that makes the inputs, ``[4, ...]``, or as many as there are images.
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
    """Features of a lower boundary.

    Attributes:
        features: ``features[rows]``.
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
        source: Where inputs come from.
        run: From a batch to features.
        batch: Rows a call.
    """

    source: Rows
    run: Callable[[NDArray[np.float32]], Floats]
    batch: int

    def __call__(self, rows: NDArray[np.int64]) -> Floats:
        parts = [rows[start : start + self.batch] for start in range(0, len(rows), self.batch)]
        return np.concatenate([self.run(self.source(stage_slice)) for stage_slice in parts])


def extract(stage_slice: StageSlice, program: TracedProgram | None, source: Rows, rows: range) -> Iterator[Floats]:
    """Features of some rows, block by block in order.

    Args:
        stage_slice: What to compute.
        program: The part, traced; None to run it in dygraph.
        source: Where inputs come from.
        rows: Which ones.

    Yields:
        ``[n, ...]`` for up to 32 rows each.

    Raises:
        ToolkitError: An image cannot be read (for ``loader.timeout`` seconds none could), or a worker process died.
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
    """The rows; images among them are read by a pool of threads for as long as the context lasts."""
    if not isinstance(source, ImageRows):
        yield source
        return
    with ReaderPool(threads, source.loader.timeout) as pool:
        yield replace(source, pool=pool)


def _in_dygraph(stage_slice: StageSlice, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    """In this thread, which is a GPU's; meanwhile others read."""
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
        worker = free.popleft()  # there are as many as threads
        try:
            return worker(rows)
        finally:
            free.append(worker)

    # Reading ends first, so that no thread that computes is left waiting for it.
    with ThreadPoolExecutor(count, thread_name_prefix="features") as pool, _watched(source, count) as watched:
        free.extend(_Worker(watched, program.load(1), BATCH[program.engine]) for _ in range(count))
        yield from _ordered(pool, work, chunks, count)


def _in_processes(program: TracedProgram, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    """Alone first; where the rest would take long, with a process a core."""
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
            "a process that computes features died, most likely for want of memory",
            hint="run again, it goes on where it was; with less memory use cache.engine: dygraph",
        ) from error
    finally:
        pool.shutdown(kill_workers=True)


_worker: _Worker | None = None
"""The worker of a process of ``_by_pool``."""


def _start_worker(program: TracedProgram, source: Rows) -> None:
    global _worker
    if isinstance(source, ImageRows):
        source = replace(source, pool=ReaderPool(1, source.loader.timeout))  # for as long as the process lives
    _worker = _Worker(source, program.load(1), BATCH[program.engine])


def _work(rows: NDArray[np.int64]) -> Floats:
    if _worker is None:
        raise RuntimeError("the process was not started as a worker")
    return _worker(rows)


def _ordered(
    pool: Executor, work: Callable[[NDArray[np.int64]], Floats], chunks: Sequence[NDArray[np.int64]], count: int
) -> Iterator[Floats]:
    """Results in the order of the chunks, with a few of them in the making."""
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
