"""Threads that read images with a timeout: a file system that no longer responds causes an error instead of a hang.

A thread that hangs in a read cannot be stopped. These are daemon threads, which, unlike those of
``concurrent.futures``, do not delay the end of the process.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from functools import partial
from queue import SimpleQueue
from typing import TypeAlias, TypeVar

from toolkit.core.errors import DataError
from toolkit.core.names import listed

_T = TypeVar("_T")
TIMEOUT = 300.0
"""Default time limit: give up after this many seconds without a finished image."""
_Task: TypeAlias = "tuple[Future[None], Callable[[], None]]"
_TICK = 1.0  # s; interval between checks while waiting
_PATIENCE = 5.0  # s; how long a closing pool waits for images in progress
_WINDOW = 64  # images per thread requested at once


class ReaderPool:
    """A pool of threads; waiting for one fails if no image is finished within the timeout.

    Use it as a context manager; on exit, tasks that have not started are dropped.

    Args:
        workers: Number of threads, >= 1.
        timeout: Give up after this many seconds without a finished image, > 0. Time during which the whole process is
            suspended does not count.
        setting: Name of the setting that controls the timeout.
    """

    def __init__(self, workers: int, timeout: float, setting: str = "data.timeout") -> None:
        self.workers = workers
        self._setting = setting
        self._timeout = timeout
        self._tasks: SimpleQueue[_Task | None] = SimpleQueue()
        self._in_work: dict[int, tuple[int, str]] = {}
        self._count = itertools.count()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"images_{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> ReaderPool:
        return self

    def __exit__(self, *error: object) -> None:
        self._closed = True
        for _ in self._threads:
            self._tasks.put(None)
        deadline = time.monotonic() + _PATIENCE
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def submit(self, task: Callable[[], None]) -> Future[None]:
        """Run a task in the next free thread; the task calls ``begin`` before each image."""
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def begin(self, image: str) -> None:
        """Announce, from a thread of the pool, the image that is read next.

        Raises:
            DataError: The pool is closed, so the image is no longer needed.
        """
        if self._closed:
            raise DataError(f"{image} is no longer needed")
        self._in_work[threading.get_ident()] = (next(self._count), image)

    def finish(self, future: Future[None]) -> None:
        """Wait for a task.

        Raises:
            DataError: No image was finished for ``timeout`` seconds; the message names those in progress. Or the pool
                was closed, which drops tasks that have not started.
            Exception: The exception raised by the task.
        """
        tick = min(_TICK, self._timeout / 4)
        seen: list[tuple[int, str]] = []
        still = 0.0
        while not wait([future], tick).done:
            if self._closed:
                raise DataError("these images are no longer needed")
            now = sorted(self._in_work.values())
            still = still + tick if now == seen else 0.0
            seen = now
            if still >= self._timeout:
                raise DataError(
                    f"no image could be read for {self._timeout:g} s; in progress: {listed([name for _, name in now])}",
                    hint=f"check that the disk or network file system responds; {self._setting} sets how long to wait",
                )
        future.result()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, function = task
            if self._closed:
                future.cancel()
                continue
            try:
                function()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(None)
            finally:
                self._in_work.pop(threading.get_ident(), None)


def read_all(
    function: Callable[[str], _T], files: Sequence[str], workers: int, timeout: float
) -> Iterator[tuple[str, _T]]:
    """Apply a function to many files in threads, holding only a window of results.

    Args:
        function: Takes a path.
        files: The paths.
        workers: Number of threads, >= 1.
        timeout: As for ``ReaderPool``.

    Yields:
        Path and result, in order.

    Raises:
        DataError: No file was finished for ``timeout`` seconds.
    """
    with ReaderPool(workers, timeout) as pool:
        for start in range(0, len(files), _WINDOW * workers):
            window = files[start : start + _WINDOW * workers]
            results: dict[int, _T] = {}
            shares = [range(first, len(window), workers) for first in range(workers)]
            for future in [
                pool.submit(partial(_read_share, pool, function, window, share, results)) for share in shares
            ]:
                pool.finish(future)
            yield from ((path, results[position]) for position, path in enumerate(window))


def read_one(function: Callable[[], _T], name: str, timeout: float = TIMEOUT) -> _T:
    """Read one image in a thread with a timeout.

    Args:
        function: Reads it.
        name: Name of the image in the error message.
        timeout: As for ``ReaderPool``.

    Raises:
        DataError: Reading took longer than ``timeout`` seconds.
        Exception: The exception raised by the function.
    """
    found: list[_T] = []

    def work() -> None:
        pool.begin(name)
        found.append(function())

    with ReaderPool(1, timeout) as pool:
        pool.finish(pool.submit(work))
    return found[0]


def _read_share(
    pool: ReaderPool, function: Callable[[str], _T], window: Sequence[str], share: range, results: dict[int, _T]
) -> None:
    for position in share:
        pool.begin(window[position])
        results[position] = function(window[position])
