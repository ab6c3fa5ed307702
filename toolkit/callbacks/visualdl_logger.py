"""The VisualDL record of a run: one file, that a resumed run continues."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from paddle.callbacks import Callback

from toolkit.callbacks.base import as_float
from toolkit.errors import ConfigError
from toolkit.files import clear_os_errors
from toolkit.runtime import is_main_process
from toolkit.task import TASKS

__all__ = ["VisualDLLogger"]

_TRAINING = tuple(dict.fromkeys(name for task in TASKS.values() for name in ("loss", *task.training)))


class VisualDLLogger(Callback):
    """Writes scalars, images and hyper-parameters for VisualDL, from the main process only.

    VisualDL reads one record file a folder and shows points in the order of the file, so there is one file with a fixed
    name. When a state is restored, what was written after that state is cut off, and the curves go on without a break.
    When a training starts anew, an older record is renamed to ``earlier.<k>.log``.

    Args:
        folder: Folder of the record.
        every: Steps between two training points.

    Attributes:
        step: Steps of this training so far.
    """

    file_name: ClassVar[str] = "vdlrecords.run.log"
    aliases: ClassVar[tuple[str, ...]] = ("acc",)
    """Names that Paddle's own callbacks want for a metric that is there under another name."""

    def __init__(self, folder: Path | str, every: int = 10) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every = every
        self._groups: dict[str, float] = {"head": 1.0}
        self._writer: Any = None
        self._training = False
        self._restored = False
        self._used = False
        self._waiting: list[tuple[str, NDArray[np.uint8], int]] = []
        self.reset()

    @property
    def path(self) -> Path:
        """The record file."""
        return self.folder / self.file_name

    def reset(self) -> None:
        """Forget the steps; the next point starts a record of its own."""
        self.close()
        self.step = 0
        self._epoch = 0
        self._keep: int | None = 0

    def set_groups(self, multipliers: Mapping[str, float]) -> None:
        """Say who learns at which rate.

        Args:
            multipliers: Name of a group of parameters -> its share of the optimizer's rate; shares of 0 are not shown.
        """
        self._groups = dict(multipliers)

    def state_dict(self) -> dict[str, Any]:
        """Steps so far, and the length of the record in bytes."""
        self._flush()
        ours = self._keep is None and self.path.exists()
        return {"step": self.step, "bytes": self.path.stat().st_size if ours else 0}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the training that begins next continues the record from there."""
        self._waiting.clear()
        self.close()
        self.step = state["step"]
        self._keep = state["bytes"]
        self._restored = True

    def add_images(self, images: NDArray[np.uint8], tag: str = "train images", step: int = 0) -> None:
        """Show images as one grid. Before a training begins they wait for it; a resumed one has them already.

        Args:
            images: ``[N, H, W, 3]``, uint8, RGB, N >= 1.
            tag: Title.
            step: Step or epoch they belong to.
        """
        if is_main_process():
            self._waiting.append((tag, _grid(images), step))
            if self._used:
                self._open()

    def hparams(self, parameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Put the run on the page of hyper-parameters, so that runs can be compared.

        Args:
            parameters: Name -> value; what is neither number nor text is shown as text, None is left out.
            metrics: Name -> final value; None is left out.
        """
        if not is_main_process():
            return
        writer = self._open()
        shown = {f"hparam/{name}": as_float(value) for name, value in metrics.items() if value is not None}
        writer.add_hparams({k: _plain(v) for k, v in parameters.items() if v is not None}, list(shown))
        for tag, value in shown.items():
            writer.add_scalar(tag, value, self.step)
        self._flush()

    def close(self) -> None:
        """Write out everything; a later call opens the record again."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Open the record.

        Raises:
            ConfigError: VisualDL is not installed.
            ToolkitError: The folder cannot be written.
        """
        if self._restored:
            self._waiting.clear()
        elif self._used:
            self.reset()
        self._used, self._restored, self._training = True, False, True
        if is_main_process():
            self._open()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write loss, accuracy and learning rates, every so many steps."""
        self.step += 1
        if not is_main_process() or (self.step - 1) % self.every:
            return
        logs = logs or {}
        for name in _TRAINING:
            if name in logs:
                self._scalar(f"train/{name}", logs[name], self.step)
        if "lr" in logs:
            for group, share in self._groups.items():
                if share:
                    self._scalar(f"lr/{group}", as_float(logs["lr"]) * share, self.step)

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the metrics of the validation images, every epoch (counted from 1)."""
        if not self._training or not is_main_process():
            return
        for name, value in (logs or {}).items():
            if name not in self.aliases and isinstance(value, (int, float, list, tuple, np.ndarray, np.generic)):
                self._scalar(f"val/{name}", value, self._epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write out everything."""
        self._training = False
        self._flush()

    def _scalar(self, tag: str, value: Any, step: int) -> None:
        self._open().add_scalar(tag.replace("%", "_"), as_float(value), step)

    def _flush(self) -> None:
        if self._writer is not None:
            with clear_os_errors(str(self.path)):
                self._writer.flush()

    def _open(self) -> Any:
        """The writer, made when it is first needed."""
        if self._writer is None:
            try:
                from visualdl import LogWriter  # heavy, and not needed without a record
            except ImportError as error:
                raise ConfigError(
                    "log.visualdl is on, but VisualDL is not installed", hint="pip install visualdl"
                ) from error
            with clear_os_errors(str(self.path)), redirect_stdout(io.StringIO()):  # it greets old records on stdout
                self._cut_record()
                self._writer = LogWriter(logdir=str(self.folder), file_name=self.file_name)
        for tag, grid, step in self._waiting:
            self._writer.add_image(tag, grid, step)
        self._waiting.clear()
        return self._writer

    def _cut_record(self) -> None:
        """Leave in the record what belongs to this training."""
        keep, self._keep = self._keep, None
        if keep is None or not self.path.exists():
            return
        if keep:
            os.truncate(self.path, min(keep, self.path.stat().st_size))
        else:
            taken = len(list(self.folder.glob("earlier.*.log")))
            self.path.rename(self.folder / f"earlier.{taken + 1}.log")


def _plain(value: Any) -> int | float | str:
    """What VisualDL can hold: numbers and text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return value


def _grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One image ``[rows * H, columns * W, 3]``, about square, of N images; free places are black."""
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)
