"""Mixed precision, and what else a device must have for what a config asks of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import paddle

from toolkit.config import TrainConfig
from toolkit.core.errors import ConfigError
from toolkit.engine.learning.fast_convolutions import check_convolutions


def check_device(train: TrainConfig) -> None:
    """Refuse to train on a device that has not what is asked for; Paddle itself would go on without it.

    Args:
        train: What is asked for.

    Raises:
        ConfigError: Mixed precision on a CPU, bfloat16 on a GPU without, synchronised BatchNorm on CPUs, or kernels
            for convolutions where they cannot be used.
    """
    device = paddle.get_device()
    if train.amp != "off" and device == "cpu":
        raise ConfigError(
            f"train.amp: {train.amp} needs a GPU: Paddle has no mixed precision on a CPU",
            hint="use train.amp: off here, or train.device: gpu on a machine that has one",
        )
    if train.amp != "off" and train.amp_dtype == "bfloat16" and not paddle.amp.is_bfloat16_supported():
        raise ConfigError(
            f"train.amp_dtype: bfloat16 needs a GPU of compute capability 8.0 or higher, and {device} has less",
            hint="use train.amp_dtype: float16",
        )
    if train.sync_batch_norm and device == "cpu":
        raise ConfigError(
            "train.sync_batch_norm needs GPUs: Paddle has none for a CPU",
            hint="use train.sync_batch_norm: false; frozen BatchNorm layers do not need it",
        )
    check_convolutions(train)


def autocast(train: TrainConfig) -> AbstractContextManager[Any]:
    """Mixed precision, where the config asks for it and the device has it, for what is computed inside.

    A run's network is evaluated on a CPU, too; there it computes in float32.
    """
    if train.amp == "off" or paddle.get_device() == "cpu":
        return nullcontext()
    return paddle.amp.auto_cast(enable=True, level=train.amp, dtype=train.amp_dtype)


class _LossScaling(paddle.amp.GradScaler):
    """Paddle's own, but quiet: that prints at each overflow, and fails there with numpy 2.4 and newer."""

    _scale: paddle.Tensor
    _incr_count: int
    _decr_count: int

    def _update(self) -> None:
        if not self._enable:
            return
        name = "_cache_found_inf" if hasattr(self, "_cache_found_inf") else "_cache_founf_inf"  # Paddle 3, 2.6
        spoilt = bool(getattr(self, name))
        self._incr_count, self._decr_count = (0, self._decr_count + 1) if spoilt else (self._incr_count + 1, 0)
        if self._decr_count == self._decr_every_n_nan_or_inf:
            self._scale, self._decr_count = self._scale * self._decr_ratio, 0
        if self._incr_count == self._incr_every_n_steps:
            self._scale, self._incr_count = self._scale * self._incr_ratio, 0


def make_scaler(train: TrainConfig, **settings: Any) -> paddle.amp.GradScaler:
    """What keeps gradients in the range of float16; does nothing for other numbers, and on a CPU.

    Args:
        train: The precision.
        settings: Of ``paddle.amp.GradScaler``, in place of its own.
    """
    wanted = train.amp != "off" and train.amp_dtype == "float16" and paddle.get_device() != "cpu"
    return _LossScaling(enable=wanted, **settings)
