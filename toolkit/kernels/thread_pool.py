"""Share work on many items among threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

from toolkit.core.runtime import available_cores, cpu_settings

_CHUNKS = 4
"""Pieces of work per thread, so that a delayed thread leaves more of them to the others."""
_LITTLE = 100_000
"""Array size below which waking another thread costs more than it gains."""


def share(work: Callable[[int, int], None], items: int, numbers: int) -> None:
    """Process many items in parallel, with as many threads as Paddle uses.

    Args:
        work: Processes only items ``start`` to ``stop`` and releases the GIL.
        items: Number of items.
        numbers: Total size of all items, in array elements.
    """
    threads = min(_threads(), items)
    if threads == 1 or numbers < _LITTLE:
        work(0, items)
        return
    pieces = min(items, threads * _CHUNKS)
    edges = [items * piece // pieces for piece in range(pieces + 1)]
    left = iter(list(pairwise(edges)))  # each piece goes to exactly one thread

    def run() -> None:
        for start, stop in left:
            work(start, stop)

    helpers = [_pool(threads - 1).submit(run) for _ in range(threads - 1)]
    try:
        run()
    finally:
        for helper in helpers:
            helper.cancel() or helper.result()


@cache
def _threads() -> int:
    first = cpu_settings().threads.partition(",")[0].strip()
    return max(1, min(int(first) if first.isdecimal() else 1, available_cores()))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "convolutions")


if hasattr(os, "register_at_fork"):  # a pool's threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)
