"""Communication between the processes of a job: sums, rows, and broadcast values.

Gradients are averaged here, not by ``paddle.DataParallel``: that hooks into every weight that moves when it is created,
but other phases move other weights. In a job with a single process, all functions do nothing.
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
"""Gradients are sent in pieces of this many bytes, so that their copy stays small."""


def begin() -> None:
    """Connect to the other processes; a second call does nothing.

    Raises:
        TrainingError: The other processes cannot be reached.
    """
    if world_size() == 1 or dist.is_initialized():
        return
    try:
        with redirect_stderr(io.StringIO()):  # a list of flags
            dist.init_parallel_env()
    except Exception as error:  # Paddle's store and NCCL raise many kinds of errors
        raise TrainingError(
            f"process {rank()} of {world_size()} cannot reach the others: {str(error).strip().splitlines()[-1]}",
            hint="start all of them with python -m paddle.distributed.launch, and check --master and its port",
        ) from error


def single_model(*args: Any, **kwargs: Any) -> paddle.Model:
    """A ``paddle.Model`` without its own distributed handling, which would wrap the network in DataParallel."""
    with alone():
        return paddle.Model(*args, **kwargs)


@contextmanager
def _together() -> Iterator[None]:
    """Report the loss of another process; Paddle's transports raise many kinds of errors.

    Raises:
        TrainingError: Raised instead of those errors.
    """
    try:
        yield
    except Exception as error:  # gloo and NCCL raise many kinds of errors
        raise TrainingError(
            f"process {rank()} of {world_size()} has lost the others: one of them has ended, or cannot be reached",
            hint="see the output of the process that ended first",
        ) from error


def sums(values: Sequence[float]) -> list[float]:
    """Sum numbers over all processes in double precision; the same result everywhere."""
    if world_size() == 1:
        return list(values)
    tensor = paddle.to_tensor(np.asarray(values, np.float64))
    with _together():
        dist.all_reduce(tensor)
    return [float(value) for value in tensor.numpy()]


def from_main(value: Any) -> Any:
    """Broadcast the main process's value, text or plain numbers, to all processes."""
    if world_size() == 1:
        return value
    box = [value if rank() == 0 else None]
    with _together():
        dist.broadcast_object_list(box, src=0)
    return box[0]


def on_main(work: Callable[[], _T]) -> _T:
    """Run a function on the main process, and return its result on all processes.

    Args:
        work: Returns plain values, or raises a ``ToolkitError``; it must not communicate with other processes.

    Raises:
        ToolkitError: The error raised by ``work``, on all processes.
    """
    outcome: tuple[_T | None, ToolkitError | None] = None, None
    if is_main_process():
        try:
            outcome = work(), None
        except ToolkitError as error:
            outcome = None, error
    result, refusal = from_main(outcome)
    if refusal is not None:
        raise refusal
    return cast(_T, result)


def all_rows(rows: NDArray[Any]) -> NDArray[Any]:
    """Gather the rows of all processes, ``[N_0 + N_1 + ..., ...]``, in process order.

    Args:
        rows: ``[N, ...]``, numbers; N may be 0, and may differ between processes.
    """
    if world_size() == 1:
        return rows
    counts = [0] * world_size()
    counts[rank()] = len(rows)
    lengths = [int(count) for count in sums(counts)]
    padded = np.zeros((max(lengths), *rows.shape[1:]), rows.dtype)
    padded[: len(rows)] = rows
    gathered: list[Tensor] = []
    with _together():
        dist.all_gather(gathered, paddle.to_tensor(padded))
    return np.concatenate([part.numpy()[:length] for part, length in zip(gathered, lengths, strict=True)])


def average_gradients(parameters: Sequence[Tensor]) -> None:
    """Sum each gradient over the processes, each of which already weighted its samples by their share of the batch."""
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
    """Gradients grouped by type into pieces of about ``_BUCKET`` bytes, in the same order everywhere."""
    buckets: list[list[Tensor]] = []
    size, kind = 0, None
    for gradient in gradients:
        if not buckets or size >= _BUCKET or gradient.dtype != kind:
            buckets.append([])
            size, kind = 0, gradient.dtype
        buckets[-1].append(gradient)
        size += gradient.size * 4
    return buckets
