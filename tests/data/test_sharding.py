from __future__ import annotations

import itertools

from toolkit.data.sharding import completed_steps, shard

CASES = list(itertools.product([0, 1, 2, 5, 16, 31, 32, 33, 34, 64, 65, 97], [1, 2, 16, 32], [1, 2, 3, 4]))
"""Images, images a batch and process, processes."""


def sizes(bounds: list[int]) -> list[int]:
    return [stop - start for start, stop in itertools.pairwise(bounds)]


def test_every_sample_once() -> None:
    for total, batch, world in CASES:
        per_rank = [sizes(shard(total, batch, rank=rank, world_size=world)) for rank in range(world)]
        assert sum(map(sum, per_rank)) == total
        assert all(1 <= size <= batch for rank in per_rank for size in rank)
        if world == 1 and total:
            assert per_rank[0][:-1] == [batch] * (len(per_rank[0]) - 1)


def test_training_ranks_make_equally_many_batches() -> None:
    for total, batch, world, drop_last in [(*case, drop_last) for case in CASES for drop_last in (False, True)]:
        per_rank = [
            sizes(shard(total, batch, rank=rank, world_size=world, drop_last=drop_last, equal=True))
            for rank in range(world)
        ]
        assert len({len(rank) for rank in per_rank}) == 1
        assert all(1 <= size <= batch for rank in per_rank for size in rank)
        if drop_last:
            assert all(size == batch for rank in per_rank for size in rank)
        elif batch > 1 and total >= world:
            assert sum(map(sum, per_rank)) == total


SHARED = [(total, whole, world) for total, whole, world in CASES if whole >= world and total >= world]


def test_a_shared_batch_is_that_of_one_process() -> None:
    """For any batch size: the same samples in each step, except a last batch too small to share."""
    for total, whole, world in [*SHARED, (100, 25, 2), (101, 7, 3), (43, 21, 2), (10, 3, 3)]:
        most, order = -(-whole // world), list(range(total))
        bounds, loose = (
            [
                shard(total, most, rank=rank, world_size=world, equal=equal, global_batch_size=whole)
                for rank in range(world)
            ]
            for equal in (True, False)
        )
        assert all(1 <= size <= most for each in (*bounds, *loose) for size in sizes(each))
        assert sum(each[-1] for each in loose) == total
        steps = [
            sorted(
                sample for rank, ends in enumerate(bounds) for sample in order[rank::world][ends[step] : ends[step + 1]]
            )
            for step in range(len(bounds[0]) - 1)
        ]
        wanted = [order[start:stop] for start, stop in itertools.pairwise(shard(total, whole))]
        if total % whole == 0 or total % whole >= world:
            assert steps == wanted
        else:
            assert steps[:-2] == wanted[: len(steps) - 2]
            assert len(steps) in (len(wanted), len(wanted) - 1)
        seen = 0
        for step, samples in enumerate(steps):
            assert completed_steps(seen, total, most, world_size=world, global_batch_size=whole) == step
            seen += len(samples)


def test_steps_behind_are_those_whose_samples_were_seen() -> None:
    for total, batch, world in [case for case in CASES if case[0] >= case[2]]:
        per_rank = [sizes(shard(total, batch, rank=rank, world_size=world, equal=True)) for rank in range(world)]
        seen = 0
        for step, global_batch_size in enumerate(zip(*per_rank, strict=True)):
            assert completed_steps(seen, total, batch, world_size=world) == step
            seen += sum(global_batch_size)
            assert completed_steps(seen - 1, total, batch, world_size=world) == step
        assert completed_steps(seen, total, batch, world_size=world) == len(per_rank[0])


def test_steps_of_another_number_of_processes() -> None:
    assert completed_steps(36, 100, 12, world_size=2) == 1
    assert completed_steps(48, 100, 12, world_size=2) == 2
    assert completed_steps(48, 100, 6, world_size=2) == 4
