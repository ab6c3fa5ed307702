"""The share of an epoch that each process takes, and the bounds of its batches."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any


def shard(
    total: int,
    batch_size: int,
    *,
    rank: int = 0,
    world_size: int = 1,
    drop_last: bool = False,
    equal: bool = False,
    global_batch_size: int | None = None,
) -> list[int]:
    """Return the batch bounds of one process, whose share is every ``world_size``-th sample.

    Batch i over all processes holds the next ``global_batch_size`` samples of the common order, as on one process;
    each process takes its share. If fewer samples than processes remain for the last batch, some processes would have
    none, and data-parallel training would wait for them forever; so they keep a sample of the previous batch for it.

    Args:
        total: Number of samples over all processes.
        batch_size: Maximum samples per batch of one process, >= 1.
        rank: Index of this process.
        world_size: Number of processes.
        drop_last: Use full batches only.
        equal: Same number of batches on every process, even if one is dropped because samples are too few.
        global_batch_size: Samples per batch over all processes, >= ``world_size``; None: ``batch_size`` for each.

    Returns:
        ``[0, ..., M]``: batch i holds the share's samples ``bounds[i]..bounds[i + 1] - 1``; ``[0]`` for no batches.
    """
    whole = batch_size * world_size if global_batch_size is None else global_batch_size
    mine = len(range(rank, total, world_size))
    ends = [len(range(rank, step * whole, world_size)) for step in range(-(-total // whole) + 1)]
    if drop_last:
        return ends[: total // whole + 1]
    count = min(len(ends) - 1, total // world_size if equal else mine)
    return [min(ends[step], mine - (count - step)) for step in range(count)] + [min(ends[count], mine)]


def completed_steps(
    seen: int, total: int, batch_size: int, *, world_size: int = 1, global_batch_size: int | None = None
) -> int:
    """Return the number of completed steps of an epoch after ``seen`` samples, by any number of processes so far.

    A step takes the next samples of the common order, whichever process computes them.

    Args:
        seen: Samples seen by all processes together.
        total: Number of samples over all processes.
        batch_size: Samples per batch on each of the processes that continue.
        world_size: Number of processes that continue.
        global_batch_size: See ``shard``.

    Returns:
        Number of steps; samples of a partial step will be seen again.
    """
    share: dict[str, Any] = {"world_size": world_size, "equal": True, "global_batch_size": global_batch_size}
    bounds = [shard(total, batch_size, rank=rank, **share) for rank in range(world_size)]
    return bisect_right([sum(ends) for ends in zip(*bounds, strict=True)], seen) - 1
