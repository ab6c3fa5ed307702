"""Threads that read images, and that are watched: a file system that no longer answers ends in an error, not in a wait.

A thread that hangs in a read cannot be ended from outside. These are daemon threads, which (unlike those of
``concurrent.futures``) nobody waits for when the process ends.
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
"""Seconds without any image done after which to give up, where no config says it."""
_Task: TypeAlias = "tuple[Future[None], Callable[[], None]]"
_TICK = 1.0  # s; how often the one who waits looks round
_PATIENCE = 5.0  # s; how long the end of a pool waits for images in work
_WINDOW = 64  # images a thread that are asked for at once


class ReaderPool:
    """A few threads; whoever waits for them is told when no image gets done any more.

    Use it as a context manager: at its end what has not begun is dropped.

    Args:
        workers: Number of threads, >= 1.
        timeout: Seconds without any image done after which to give up, > 0. Time in which the whole process stands
            still, suspended, does not count.
        setting: Where the user sets the timeout.
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
            threading.Thread(target=self._work, name=f"images_{number}", daemon=True) for number in range(workers)
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
        """Have something done by the next free thread; the task calls ``begin`` before each image."""
        future: Future[None] = Future()
        self._tasks.put((future, task))
        return future

    def begin(self, image: str) -> None:
        """Say, in a thread of the pool, which image is read now.

        Raises:
            DataError: The pool has ended; nobody wants the image any more.
        """
        if self._closed:
            raise DataError(f"{image} is no longer wanted")
        self._in_work[threading.get_ident()] = (next(self._count), image)

    def finish(self, future: Future[None]) -> None:
        """Wait for a task.

        Raises:
            DataError: No image was done for ``timeout`` seconds; the message names those in work. Or the pool has
                ended meanwhile, which drops what has not begun.
            Exception: What the task raised.
        """
        tick = min(_TICK, self._timeout / 4)
        seen: list[tuple[int, str]] = []
        still = 0.0
        while not wait([future], tick).done:
            if self._closed:
                raise DataError("these images are no longer wanted")
            now = sorted(self._in_work.values())
            still = still + tick if now == seen else 0.0
            seen = now
            if still >= self._timeout:
                raise DataError(
                    f"no image could be read for {self._timeout:g} s; in work: {listed([name for _, name in now])}",
                    hint=f"does the disk or network file system answer? {self._setting} sets how long to wait",
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
    """Do something with each of many files, in threads; only a window of results is kept.

    Args:
        function: What to do with a path.
        files: The paths.
        workers: Number of threads, >= 1.
        timeout: As for ``ReaderPool``.

    Yields:
        Path and result, in order.

    Raises:
        DataError: No file was done for ``timeout`` seconds.
    """
    with ReaderPool(workers, timeout) as pool:
        for start in range(0, len(files), _WINDOW * workers):
            window = files[start : start + _WINDOW * workers]
            results: dict[int, _T] = {}
            parts = [range(first, len(window), workers) for first in range(workers)]
            for future in [pool.submit(partial(_do_part, pool, function, window, part, results)) for part in parts]:
                pool.finish(future)
            yield from ((path, results[position]) for position, path in enumerate(window))


def read_one(function: Callable[[], _T], name: str, timeout: float = TIMEOUT) -> _T:
    """Read one image in a watched thread.

    Args:
        function: Reads it.
        name: What to call it, should it not answer.
        timeout: As for ``ReaderPool``.

    Raises:
        DataError: It was not done in ``timeout`` seconds.
        Exception: What the function raised.
    """
    found: list[_T] = []

    def work() -> None:
        pool.begin(name)
        found.append(function())

    with ReaderPool(1, timeout) as pool:
        pool.finish(pool.submit(work))
    return found[0]


def _do_part(
    pool: ReaderPool, function: Callable[[str], _T], window: Sequence[str], part: range, results: dict[int, _T]
) -> None:
    for position in part:
        pool.begin(window[position])
        results[position] = function(window[position])
