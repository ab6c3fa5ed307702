"""Base class of callbacks that write one line per epoch to a text file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddle.callbacks import Callback

from toolkit.callbacks.base import as_float
from toolkit.callbacks.numbers import metrics_of
from toolkit.core.errors import ConfigError
from toolkit.core.files import clear_os_errors
from toolkit.core.runtime import is_main_process


class EpochLog(Callback, ABC):
    """One line per epoch: its number from 1, the learning rate, and the metrics of training and validation.

    Written by the main process only, after an epoch's evaluation (or before the next epoch if there is none). When a
    state was restored, later lines, and a line cut short by a kill or a full disk, are dropped and the file continues.
    When a training starts over, an older file is renamed to ``<name>.earlier.<k>``.

    Args:
        path: The file. Its folder is created.

    Attributes:
        epochs: Number of the last epoch written.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self.epochs = 0
        self._pending: dict[str, float] | None = None
        self._training = False
        self._restored = False

    @abstractmethod
    def keep_until(self, epoch: int) -> None:
        """Drop lines after an epoch and incomplete lines; check that the rest is a log of this kind.

        Raises:
            ConfigError: The file was not written by this callback.
        """

    @abstractmethod
    def append(self, values: Mapping[str, float]) -> None:
        """Write a line: ``epoch``, ``lr``, ``train/...``, ``val/...``."""

    def state_dict(self) -> dict[str, Any]:
        """The number of the last epoch written."""
        return {"epochs": self.epochs}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the next training continues the file from there."""
        self.epochs = state["epochs"]
        self._restored = True

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start a file, or continue it.

        Raises:
            ConfigError: The file to continue was not written by this callback, or is not a regular file.
            ToolkitError: The folder cannot be written.
        """
        if not self._restored:
            self.epochs = 0
        self._restored, self._training, self._pending = False, True, None
        if is_main_process():
            with clear_os_errors(str(self.path)):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._refuse_devices()
                if self.epochs and self.path.exists():
                    self.keep_until(self.epochs)
                else:
                    self._set_aside()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the line of an epoch that was not evaluated."""
        self._flush({})

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the training metrics for the line."""
        metrics = metrics_of(logs)
        rate = {"lr": as_float(metrics.pop("lr"))} if "lr" in metrics else {}
        train = {f"train/{name}": as_float(value) for name, value in metrics.items()}
        self._pending = {"epoch": epoch + 1, **rate, **train}

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the line."""
        if self._training:
            self._flush({f"val/{name}": as_float(value) for name, value in metrics_of(logs).items()})

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the line of a last epoch that was not evaluated."""
        self._flush({})
        self._training = False

    def _flush(self, val: Mapping[str, float]) -> None:
        line, self._pending = self._pending, None
        if line is None:
            return
        self.epochs = int(line["epoch"])
        if is_main_process():
            with clear_os_errors(str(self.path)):
                self.append({**line, **val})

    def _refuse_devices(self) -> None:
        if self.path.exists() and not self.path.is_file():
            raise ConfigError(
                f"{type(self).__name__}: {self.path} is not a regular file, so it is neither moved nor written",
                hint="give another path",
            )

    def _set_aside(self) -> None:
        if self.path.exists():
            taken = len(list(self.path.parent.glob(f"{self.path.stem}.earlier.*{self.path.suffix}")))
            self.path.rename(self.path.with_name(f"{self.path.stem}.earlier.{taken + 1}{self.path.suffix}"))
