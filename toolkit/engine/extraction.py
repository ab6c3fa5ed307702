"""Running the frozen part of a network over many images, by the fastest route that this machine has.

Dygraph computes layer by layer. A traced program in Paddle Inference (oneDNN) or in ONNX Runtime fuses layers and is
several times faster on a CPU, most so with small batches. ONNX Runtime lets other threads run meanwhile, so that each
thread reads and computes its own images; Paddle Inference does not, so that processes do.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn

from toolkit.console import warn
from toolkit.data import BatchLoader
from toolkit.errors import DeployError, ToolkitError
from toolkit.inference import InferenceSession, OnnxSession, convert_program, onnx_is_installed, save_program
from toolkit.zoo import StagedNetwork

__all__ = ["Engine", "FeatureRows", "ImageRows", "Part", "Program", "choose_engine", "extract", "traced"]

Engine = Literal["dygraph", "paddle", "onnx"]
Floats = NDArray[np.floating[Any]]

_BATCH = {"dygraph": 16, "paddle": 4, "onnx": 4}
"""Images a call; on the CPUs that were tried small batches are best, as activations stay in the processor's cache."""
_CHUNK = 32
"""Images a task of a worker."""
_FEW = 64
"""For fewer images tracing a program takes longer than it saves."""
_WORTH_PROCESSES = 15.0
"""Seconds of work from which on it pays to start processes, which load Paddle first."""
_MOST_WORKERS = 8
_AHEAD = 2


class Part(nn.Layer):
    """Some consecutive stages of a network as a layer, with the pooling behind them where that is wanted.

    Args:
        network: The network.
        start: Stages before the first of these.
        stop: Stages up to and with the last of these.
        pooled: Pool the last one's map.
    """

    def __init__(self, network: StagedNetwork, start: int, stop: int, *, pooled: bool) -> None:
        super().__init__()
        self.network = network
        self._start, self._stop, self._pooled = start, stop, pooled

    def forward(self, x: Tensor) -> Tensor:
        """From the input of stage ``start + 1`` to the output of stage ``stop``."""
        z = self.network.features(x, self._stop, self._start)
        return self.network.pool(z) if self._pooled else z


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
    """

    portable: ClassVar[bool] = True
    loader: BatchLoader
    epoch: int = 0

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Images ``[len(rows), C, S, S]``."""
        return self.loader.read(rows, self.epoch)


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


def choose_engine(wanted: str, device: str, rows: int) -> Engine:
    """The engine that computes features.

    Args:
        wanted: ``auto``, ``paddle``, ``onnx`` or ``dygraph``.
        device: Paddle's name of the device; engines are for the CPU, a GPU takes dygraph.
        rows: Number of images.

    Raises:
        DeployError: ONNX Runtime is wanted, but not installed.
    """
    if wanted == "onnx" and not onnx_is_installed():
        raise DeployError(
            "cache.engine is onnx, but ONNX Runtime is not installed",
            hint='pip install -e ".[onnx]", or set cache.engine: auto',
        )
    if wanted == "auto":
        wanted = "dygraph" if rows < _FEW else "onnx" if onnx_is_installed() else "paddle"
    if device != "cpu":
        return "dygraph"
    return wanted  # type: ignore[return-value]


@dataclass(frozen=True)
class Program:
    """A traced part on disk.

    Attributes:
        engine: What runs it.
        files: The program and its weights, or the ``.onnx`` file.
    """

    engine: Engine
    files: tuple[Path, ...]

    def load(self, threads: int) -> Callable[[NDArray[np.float32]], Floats]:
        """A function from a batch to its features."""
        if self.engine == "onnx":
            return OnnxSession(self.files[0], threads=threads).run
        return InferenceSession(*self.files, threads=threads).run


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
        return np.concatenate([self.run(self.source(part)) for part in parts])


def extract(part: Part, program: Program | None, source: Rows, rows: range) -> Iterator[Floats]:
    """Features of some rows, block by block in order.

    Args:
        part: What to compute.
        program: The part, traced; None to run it in dygraph.
        source: Where inputs come from.
        rows: Which ones.

    Yields:
        ``[n, ...]`` for up to 32 rows each.

    Raises:
        ToolkitError: An image cannot be read, or a worker process died.
    """
    chunks = [np.arange(start, min(start + _CHUNK, rows.stop)) for start in range(rows.start, rows.stop, _CHUNK)]
    if program is None:
        yield from map(_Worker(source, _in_dygraph(part), _BATCH["dygraph"]), chunks)
    elif program.engine == "onnx":
        yield from _in_threads(program, source, chunks)
    else:
        yield from _in_processes(program, source, chunks)


def _in_dygraph(part: Part) -> Callable[[NDArray[np.float32]], Floats]:
    def run(inputs: NDArray[np.float32]) -> Floats:
        with paddle.no_grad():
            return np.asarray(part(paddle.to_tensor(inputs)).numpy())

    part.network.eval()
    return run


@contextmanager
def traced(part: Part, shape: Sequence[int], engine: Engine) -> Iterator[Program | None]:
    """A part as a program, for as long as the context lasts.

    Args:
        part: What to trace.
        shape: Of one input, without the batch axis.
        engine: What will run it.

    Yields:
        The program. None for dygraph, and where no program can be made, of which one line tells.
    """
    if engine == "dygraph":
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="toolkit-") as name:
        folder = Path(name)
        try:
            files: tuple[Path, ...] = save_program(part, folder, shape)
            if engine == "onnx":
                files = (convert_program(files[0], files[1], folder / "part.onnx"),)
            program = Program(engine, files)
        except DeployError as error:
            warn(f"features are computed in dygraph, which is slower: {error.message}")
            program = None
        yield program


def _in_threads(program: Program, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    count = min(_cores(), len(chunks))
    workers = [_Worker(source, program.load(1), _BATCH[program.engine]) for _ in range(count)]
    free = deque(workers)

    def work(rows: NDArray[np.int64]) -> Floats:
        worker = free.popleft()  # there are as many as threads
        try:
            return worker(rows)
        finally:
            free.append(worker)

    with ThreadPoolExecutor(count, thread_name_prefix="features") as pool:
        yield from _ordered(pool, work, chunks, count)


def _in_processes(program: Program, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    """Alone first; where the rest would take long, with a process a core."""
    worker = _Worker(source, program.load(_cores()), _BATCH[program.engine])
    worker(chunks[0][:1])  # the first call prepares oneDNN's kernels
    began = time.monotonic()
    for done, rows in enumerate(chunks, 1):
        yield worker(rows)
        left = (time.monotonic() - began) / done * (len(chunks) - done)
        if source.portable and left > _WORTH_PROCESSES and _cores() > 1:
            yield from _by_pool(program, source, chunks[done:])
            return


def _by_pool(program: Program, source: Rows, chunks: Sequence[NDArray[np.int64]]) -> Iterator[Floats]:
    # loky's workers do not import the user's script, so that it needs no `if __name__ == "__main__"`.
    from joblib.externals.loky import ProcessPoolExecutor  # type: ignore[import-untyped]

    count = min(_cores(), len(chunks))
    environment = {"OMP_NUM_THREADS": "1"}
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


def _start_worker(program: Program, source: Rows) -> None:
    global _worker
    _worker = _Worker(source, program.load(1), _BATCH[program.engine])


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


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return min(_MOST_WORKERS, len(affinity(0)) if affinity else (os.cpu_count() or 1))
