"""A single update of the weights from a batch, possibly in parts, on several processes or in mixed precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import Tensor, nn
from paddle.optimizer import Optimizer

from toolkit.config import TrainConfig
from toolkit.core.console import info
from toolkit.core.errors import TrainingError
from toolkit.core.random import derived_seed
from toolkit.core.runtime import rank, seed_everything, world_size
from toolkit.data import Batch
from toolkit.engine.learning.distributed import average_gradients, sums
from toolkit.engine.learning.fast_convolutions import fast_layers
from toolkit.engine.learning.objective import Objective
from toolkit.engine.learning.precision import autocast, make_scaler
from toolkit.kernels import fast_convolutions
from toolkit.zoo import StagedNetwork


class TrainingStep:
    """Makes steps with one optimizer.

    The loss of a batch is the weighted mean over the samples of all processes. Parts of a batch and processes each
    compute their share of it, so that the update does not depend on their number (except for BatchNorm, whose
    statistics are those of a part). If a GPU runs out of memory, the batch is split into twice as many parts.

    Args:
        network: The network to train.
        objective: Loss and metrics.
        optimizer: Optimizer over the trainable weights.
        train: Settings such as parts and precision.
        pull: Called after the gradients are computed and before the update; may add to them.
    """

    def __init__(
        self,
        network: StagedNetwork,
        objective: Objective,
        optimizer: Optimizer,
        train: TrainConfig,
        pull: Callable[[], None] | None = None,
    ) -> None:
        self._network = network
        self._objective = objective
        self._optimizer = optimizer
        self._train = train
        self._pull = pull
        self._metrics = objective.running()
        self._names = ("loss", *objective.task.training)
        self._moving = [parameter for parameter in network.parameters() if not parameter.stop_gradient]
        self._fast: list[nn.Conv2D] | None = None
        self.parts = train.accumulate
        self.scaler = make_scaler(train)

    def step(
        self, batch: Batch, stop: bool = False, watch: Callable[[Mapping[str, Tensor]], None] | None = None
    ) -> tuple[dict[str, float], int, bool]:
        """Update the weights once.

        Args:
            batch: This process's part of the batch.
            stop: Whether this process requests the end of training.
            watch: Called with the gradients before the update.

        Returns:
            Loss and training metrics over the samples of all processes, their number, and whether any process requests
            the end. All are the same on every process.

        Raises:
            TrainingError: The GPU has too little memory even for single images, or one of several processes has.
        """
        while True:
            try:
                local = self._gradients(batch)
                break
            except (RuntimeError, MemoryError) as error:
                self._network.clear_gradients()
                if not _out_of_memory(error):
                    raise
                self._more_parts(len(batch), error)
        average_gradients(self._moving)
        self._update(watch)
        *values, count, asked = sums([*local, len(batch), float(stop)])
        means = [values[0], *(value / count for value in values[1:])]  # the loss is already a mean
        return dict(zip(self._names, means, strict=True)), int(count), asked > 0

    def state(self) -> dict[str, Any]:
        """State of the loss scaling, as plain numbers; empty without it."""
        if not self.scaler.is_enable():
            return {}
        return {key: np.asarray(value).tolist() for key, value in self.scaler.state_dict().items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the result of ``state``."""
        if state and self.scaler.is_enable():
            scale = np.asarray(state["scale"], np.float32)
            self.scaler.load_state_dict({**state, "scale": scale})

    def _gradients(self, batch: Batch) -> list[float]:
        """Compute this process's gradients; loss (its share of the mean) and training metrics (summed)."""
        weights = self._objective.batch_weights(batch)
        sizes = [float(len(batch)) if process == rank() else 0.0 for process in range(world_size())]
        total, *sizes = sums([float(weights.sum(dtype=np.float64)), *sizes])
        if total <= 0:
            raise TrainingError(
                "all images of a batch have weight 0", hint="give some of them more, or sample them less"
            )
        shares = (weights / total).astype(np.float32)
        totals = np.zeros(len(self._names))
        self._network.train()
        if self._fast is None:
            self._fast = fast_layers(self._network, self._train)
        for rows in np.array_split(np.arange(len(batch)), int(min(self.parts, *sizes))):
            with fast_convolutions(self._fast):
                totals += self._part(batch.inputs[rows], batch.labels[rows], shares[rows])
        return [float(value) for value in totals]

    def _part(self, inputs: NDArray[Any], labels: NDArray[Any], shares: NDArray[np.float32]) -> NDArray[np.float64]:
        given = [paddle.to_tensor(labels), paddle.to_tensor(shares)]
        with autocast(self._train):
            outputs = self._network(paddle.to_tensor(inputs))
        outputs = [output.astype("float32") for output in (outputs if isinstance(outputs, list) else [outputs])]
        loss = self._objective(*outputs, *given)
        self.scaler.scale(loss).backward()
        values = [float(loss.item())]
        for metric in self._metrics:
            right = metric.update(np.asarray(metric.compute(*outputs, *given).numpy()))
            values.append(float(np.asarray(right).reshape(-1)[0]) * len(labels))
        return np.array(values)

    def _update(self, watch: Callable[[Mapping[str, Tensor]], None] | None) -> None:
        if self.scaler.is_enable():
            self.scaler.unscale_(self._optimizer)
        if self._pull is not None:
            self._pull()
        if watch is not None:
            watch({path: p.grad for path, p in self._network.named_parameters() if p.grad is not None})
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._network.clear_gradients()

    def _more_parts(self, size: int, error: BaseException) -> None:
        if world_size() > 1 or self.parts >= size:
            raise TrainingError(
                f"the device has too little memory for {-(-size // self.parts)} image(s) at a time",
                hint="use a smaller data.batch_size or data.image_size, train.accumulate, or freeze more stages",
            ) from error
        self.parts = min(size, 2 * self.parts)
        paddle.device.cuda.empty_cache()
        info(f"out of memory: batches of {size} images are computed in {self.parts} parts from now on")


def step_seed(seed: int, epoch: int, step: int) -> int:
    """Seed of all randomness in a step (dropout, user code): a function of the position."""
    return derived_seed(seed, epoch, step)


def seed_step(seed: int) -> None:
    """Seed all randomness in a step: Python and numpy equally on all processes, Paddle differently on each.

    Dropout masks come from Paddle; each process has different images and needs different masks.

    Args:
        seed: Seed of the step from ``step_seed``; a job with a single process seeds Paddle with it, too.
    """
    seed_everything(seed)
    if rank() > 0:
        paddle.seed(derived_seed(seed, rank()))


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, MemoryError) or "ResourceExhausted" in text or "ut of memory" in text
