"""Which part of an epoch a process takes, and where its batches begin and end."""

from __future__ import annotations

__all__ = ["shard"]


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
