"""Which part of an epoch a process takes, and where its batches begin and end."""

from __future__ import annotations

from bisect import bisect_right

__all__ = ["shard", "steps_behind"]


def shard(
    total: int, batch_size: int, *, rank: int = 0, world_size: int = 1, drop_last: bool = False, equal: bool = False
) -> list[int]:
    """Batch boundaries of one process whose share is every ``world_size``-th sample.

    A share that is one sample short of another's would sometimes need one batch less, and data-parallel training would
    wait forever for that batch; such a share gives a sample of its last full batch to one more batch.

    Args:
        total: Number of samples over all processes.
        batch_size: Samples a batch, at most; >= 1.
        rank: Number of this process.
        world_size: Number of processes.
        drop_last: Full batches only.
        equal: The same number of batches on every process, even if (with fewer samples than batches) one is left out.

    Returns:
        ``[0, ..., M]``: batch i holds the share's samples ``bounds[i]..bounds[i + 1] - 1``; ``[0]`` when there is none.
    """
    mine = len(range(rank, total, world_size))
    fewest, most = total // world_size, -(-total // world_size)
    if drop_last:
        return [step * batch_size for step in range(fewest // batch_size + 1)]
    count = min(-(-most // batch_size), fewest if equal else mine)
    return [min(step * batch_size, mine - (count - step)) for step in range(count)] + [min(count * batch_size, mine)]


def steps_behind(seen: int, total: int, batch_size: int, *, world_size: int = 1) -> int:
    """Steps of an epoch that are done once so many of its samples were seen, by however many processes until now.

    A step takes the next samples of the common order, whoever computes which of them.

    Args:
        seen: Samples seen by all of them.
        total: Number of samples over all processes.
        batch_size: Samples a batch of each of the processes that go on.
        world_size: Number of these.

    Returns:
        Number of steps; the samples of a step that was done in part are seen again.
    """
    bounds = [shard(total, batch_size, rank=rank, world_size=world_size, equal=True) for rank in range(world_size)]
    return bisect_right([sum(ends) for ends in zip(*bounds, strict=True)], seen) - 1
