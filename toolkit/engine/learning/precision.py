"""Mixed precision, and other requirements of a config on the device."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import paddle

from toolkit.config import TrainConfig
from toolkit.core.errors import ConfigError
from toolkit.engine.learning.fast_convolutions import check_convolutions


def check_device(train: TrainConfig) -> None:
    """Raise an error if the device lacks a requested feature; Paddle itself would silently continue without it.

    Args:
        train: The training settings.

    Raises:
        ConfigError: Mixed precision on a CPU, bfloat16 on a GPU without support, synchronised BatchNorm on CPUs, or
            convolution kernels that cannot be used.
    """
    device = paddle.get_device()
    if train.amp != "off" and device == "cpu":
        raise ConfigError(
            f"train.amp: {train.amp} needs a GPU: Paddle doesn't support mixed precision on a CPU",
            hint="use train.amp: off here, or train.device: gpu on a machine that has one",
        )
    if train.amp != "off" and train.amp_dtype == "bfloat16" and not paddle.amp.is_bfloat16_supported():
        raise ConfigError(
            f"train.amp_dtype: bfloat16 needs a GPU of compute capability 8.0 or higher, but {device} has less",
            hint="use train.amp_dtype: float16",
        )
    if train.sync_batch_norm and device == "cpu":
        raise ConfigError(
            "train.sync_batch_norm needs GPUs: Paddle doesn't support it on a CPU",
            hint="use train.sync_batch_norm: false; frozen BatchNorm layers do not need it",
        )
    check_convolutions(train)


def autocast(train: TrainConfig) -> AbstractContextManager[Any]:
    """Mixed precision within the context, if the config requests it and the device supports it.

    A run's network may also be evaluated on a CPU, where it computes in float32.
    """
    if train.amp == "off" or paddle.get_device() == "cpu":
        return nullcontext()
    return paddle.amp.auto_cast(enable=True, level=train.amp, dtype=train.amp_dtype)


class _LossScaling(paddle.amp.GradScaler):
    """Paddle's scaler without its message at each overflow, which fails with numpy 2.4 and newer."""

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
    """A scaler that keeps gradients in the range of float16; does nothing for other types or on a CPU.

    Args:
        train: The training settings.
        settings: Arguments of ``paddle.amp.GradScaler``, instead of its defaults.
    """
    wanted = train.amp != "off" and train.amp_dtype == "float16" and paddle.get_device() != "cpu"
    return _LossScaling(enable=wanted, **settings)
