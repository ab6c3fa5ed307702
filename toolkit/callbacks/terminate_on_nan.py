"""Stop a training whose loss became NaN or infinite, or exploded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from paddle.callbacks import Callback

from toolkit.callbacks.base import as_float
from toolkit.core.errors import DivergedError

EXPLODED = 1e9
"""A loss beyond this, though finite, comes from weights far outside any reasonable range."""


class TerminateOnNaN(Callback):
    """Raises when a training or validation loss is NaN, infinite or beyond ``EXPLODED``.

    Put it first in the list, so that no other callback acts on such a loss.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Check the loss of a step.

        Raises:
            DivergedError: The loss is not finite, or has exploded.
        """
        self._check(logs, f"in epoch {self._epoch + 1}, step {step + 1}")

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Check the validation loss.

        Raises:
            DivergedError: The loss is not finite, or has exploded.
        """
        self._check(logs, f"on the validation images after epoch {self._epoch + 1}")

    def _check(self, logs: Mapping[str, Any] | None, where: str) -> None:
        if not logs or "loss" not in logs:
            return
        loss = as_float(logs["loss"])
        if not math.isfinite(loss) or abs(loss) > EXPLODED:
            optimizer = getattr(self.model, "_optimizer", None)
            rate = f" (now {float(optimizer.get_lr()):.3g})" if optimizer else ""
            raise DivergedError(
                f"the loss became {loss:.6g} {where}",
                hint=f"lower train.lr{rate}, set train.clip_norm: 1.0, or add train.warmup_epochs",
            )
