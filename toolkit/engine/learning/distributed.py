"""What the processes of one job tell each other: sums, rows, and one value for all.

Gradients are averaged here, and not by ``paddle.DataParallel``: that hooks itself into every weight that moves at
the time when it is made, and another phase moves others. All of it does nothing in a job of one process.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any, TypeVar, cast

import numpy as np
import paddle
import paddle.distributed as dist
from numpy.typing import NDArray
from paddle import Tensor

from toolkit.core.errors import ToolkitError, TrainingError
from toolkit.core.runtime import alone, is_main_process, rank, world_size

_T = TypeVar("_T")

_BUCKET = 32 * 2**20
"""Gradients are sent in pieces of so many bytes, so that their copy stays small."""


def begin() -> None:
    """Meet the other processes; a second call does nothing.

    Raises:
        TrainingError: They cannot be reached.
    """
    if world_size() == 1 or dist.is_initialized():
        return
    try:
        with redirect_stderr(io.StringIO()):  # a list of flags
            dist.init_parallel_env()
    except Exception as error:  # whatever Paddle's store or NCCL raise
        raise TrainingError(
            f"process {rank()} of {world_size()} cannot reach the others: {str(error).strip().splitlines()[-1]}",
            hint="start all of them with python -m paddle.distributed.launch, and check --master and its port",
        ) from error


def single_model(*args: Any, **kwargs: Any) -> paddle.Model:
    """A ``paddle.Model`` that leaves talking to other processes to us: its own wraps the network in DataParallel."""
    with alone():
        return paddle.Model(*args, **kwargs)


@contextmanager
def _together() -> Iterator[None]:
    """Tell in words that another process has gone; Paddle's transports raise errors of many kinds.

    Raises:
        TrainingError: In place of them.
    """
    try:
        yield
    except Exception as error:  # whatever gloo or NCCL raise
        raise TrainingError(
            f"process {rank()} of {world_size()} has lost the others: one of them has ended, or cannot be reached",
            hint="look at what the process that ended first has said",
        ) from error


def sums(values: Sequence[float]) -> list[float]:
    """Numbers added up over all processes, in double precision; the same ones everywhere."""
    if world_size() == 1:
        return list(values)
    tensor = paddle.to_tensor(np.asarray(values, np.float64))
    with _together():
        dist.all_reduce(tensor)
    return [float(value) for value in tensor.numpy()]


def from_main(value: Any) -> Any:
    """The main process's value, text or plain numbers, on all of them."""
    if world_size() == 1:
        return value
    box = [value if rank() == 0 else None]
    with _together():
        dist.broadcast_object_list(box, src=0)
    return box[0]


def on_main(work: Callable[[], _T]) -> _T:
    """Let the main process do something, and give all processes what came of it.

    Args:
        work: Gives plain values, or raises a ``ToolkitError``; it must not talk to the other processes.

    Raises:
        ToolkitError: What ``work`` raised, on all processes alike.
    """
    found: tuple[_T | None, ToolkitError | None] = None, None
    if is_main_process():
        try:
            found = work(), None
        except ToolkitError as error:
            found = None, error
    result, refusal = from_main(found)
    if refusal is not None:
        raise refusal
    return cast(_T, result)


def all_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """The rows of all processes, ``[N_0 + N_1 + ..., ...]``, in the order of the processes.

    Args:
        rows: ``[N, ...]``, numbers; N may be 0, and another one on each process.
    """
    if world_size() == 1:
        return rows
    counts = [0] * world_size()
    counts[rank()] = len(rows)
    lengths = [int(count) for count in sums(counts)]
    padded = np.zeros((max(lengths), *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    found: list[Tensor] = []
    with _together():
        dist.all_gather(found, paddle.to_tensor(padded))
    return np.concatenate([part.numpy()[:length] for part, length in zip(found, lengths, strict=True)])


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace each gradient by its sum over the processes; each has counted its samples by their share of the batch."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for bucket in _buckets(gradients):
        flat = paddle.concat([gradient.flatten() for gradient in bucket])
        with _together():
            dist.all_reduce(flat)
        parts = paddle.split(flat, [gradient.size for gradient in bucket])
        for gradient, part in zip(bucket, parts if isinstance(parts, list) else [parts], strict=True):
            paddle.assign(part.reshape(gradient.shape), gradient)


def _buckets(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """Gradients of one type, in pieces of about ``_BUCKET`` bytes, in an order that is the same everywhere."""
    buckets: list[list[Tensor]] = []
    size, kind = 0, None
    for gradient in gradients:
        if not buckets or size >= _BUCKET or gradient.dtype != kind:
            buckets.append([])
            size, kind = 0, gradient.dtype
        buckets[-1].append(gradient)
        size += gradient.size * 4
    return buckets
