"""Which part of an epoch a process takes, and where its batches begin and end."""

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
    together: int | None = None,
) -> list[int]:
    """Batch boundaries of one process whose share is every ``world_size``-th sample.

    Batch i of all processes together holds the next ``together`` samples of the common order, as on one process; of
    each a process takes its share. Where fewer samples than processes are left for the last batch, some would have
    none, and data-parallel training would wait forever for them; they keep a sample of the batch before for it.

    Args:
        total: Number of samples over all processes.
        batch_size: Samples a batch of one process, at most; >= 1.
        rank: Number of this process.
        world_size: Number of processes.
        drop_last: Full batches only.
        equal: The same number of batches on every process, even if (with fewer samples than batches) one is left out.
        together: Samples a batch of all processes, >= ``world_size``; None: ``batch_size`` for each of them.

    Returns:
        ``[0, ..., M]``: batch i holds the share's samples ``bounds[i]..bounds[i + 1] - 1``; ``[0]`` when there is none.
    """
    whole = batch_size * world_size if together is None else together
    mine = len(range(rank, total, world_size))
    ends = [len(range(rank, step * whole, world_size)) for step in range(-(-total // whole) + 1)]
    if drop_last:
        return ends[: total // whole + 1]
    count = min(len(ends) - 1, total // world_size if equal else mine)
    return [min(ends[step], mine - (count - step)) for step in range(count)] + [min(ends[count], mine)]


def steps_behind(seen: int, total: int, batch_size: int, *, world_size: int = 1, together: int | None = None) -> int:
    """Steps of an epoch that are done once so many of its samples were seen, by however many processes until now.

    A step takes the next samples of the common order, whoever computes which of them.

    Args:
        seen: Samples seen by all of them.
        total: Number of samples over all processes.
        batch_size: Samples a batch of each of the processes that go on.
        world_size: Number of these.
        together: See ``shard``.

    Returns:
        Number of steps; the samples of a step that was done in part are seen again.
    """
    share: dict[str, Any] = {"world_size": world_size, "equal": True, "together": together}
    bounds = [shard(total, batch_size, rank=rank, **share) for rank in range(world_size)]
    return bisect_right([sum(ends) for ends in zip(*bounds, strict=True)], seen) - 1
