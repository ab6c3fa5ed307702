"""Log a run to VisualDL."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from paddle.callbacks import Callback

from toolkit.callbacks.base import as_float
from toolkit.callbacks.numbers import metrics_of
from toolkit.callbacks.visualdl_graph import write_graph
from toolkit.callbacks.visualdl_record import VisualDLRecord
from toolkit.core.runtime import is_main_process
from toolkit.tasks import TRAINING_METRICS

_LONGEST_TITLE = 100
_MOST_COMPONENTS = 50


class VisualDLLogger(Callback):
    """Writes scalars, histograms, images and hyper-parameters for VisualDL, from the main process only.

    VisualDL reads one record file per folder and shows points in file order, so there is one file with a fixed name.
    When a state is restored, points written after that state are dropped, and the curves continue without a break. When
    a training starts over, an older record is renamed to ``earlier.<k>.log``.

    Args:
        folder: Folder of the record.
        every: Steps between two training points.
        histograms: Epochs between two histograms of the trainable weights, and of their gradients (see
            ``wants_gradients``); 0 for none.

    Attributes:
        step: Steps of this training so far.
    """

    file_name: ClassVar[str] = "vdlrecords.run.log"

    def __init__(self, folder: Path | str, every: int = 10, histograms: int = 0) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.every = every
        self.histograms = histograms
        self._groups: dict[str, float] = {"head": 1.0}
        self._record = VisualDLRecord(self.path)
        self._training = False
        self._restored = False
        self._used = False
        self._waiting: list[Callable[[], None]] = []
        self.reset()

    @property
    def path(self) -> Path:
        """The record file."""
        return self.folder / self.file_name

    def reset(self) -> None:
        """Reset the step count; the next point starts a new record."""
        self._record.begin()
        self.step = 0
        self._epoch = 0

    def set_groups(self, multipliers: Mapping[str, float]) -> None:
        """Set which parameter groups learn at which rate.

        Args:
            multipliers: Name of a parameter group -> its share of the optimizer's rate; shares of 0 are not shown.
        """
        self._groups = dict(multipliers)

    def state_dict(self) -> dict[str, Any]:
        """Steps so far, and the length of the record in bytes."""
        return {"step": self.step, "bytes": self._record.size()}

    def set_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; the next training continues the record from there."""
        self._waiting.clear()
        self.step = state["step"]
        self._record.begin(state["bytes"])
        self._restored = True

    def add_images(self, images: NDArray[np.uint8], tag: str = "train images", step: int = 0) -> None:
        """Show images as one grid. They are held until a training starts; a resumed one already has them.

        Args:
            images: ``[N, H, W, 3]``, uint8, RGB, N >= 1.
            tag: Title.
            step: Step or epoch that they belong to.
        """
        grid = _grid(images)
        self._write(lambda: self._record.image(tag, grid, step))

    def add_titled_images(self, images: NDArray[np.uint8], titles: Sequence[str], tag: str, step: int = 0) -> None:
        """Show images individually, each with its own title in any script; see ``add_images``.

        Args:
            images: ``[N, H, W, 3]``, uint8, RGB.
            titles: One per image, for instance which class was mistaken for which.
            tag: Title of all of them.
            step: Step or epoch that they belong to.
        """
        for index, (image, title) in enumerate(zip(images, titles, strict=True), 1):
            name = f"{tag}/{index:02d} {title.replace('/', '_')[:_LONGEST_TITLE]}"
            self._write(lambda name=name, image=image: self._record.image(name, image, step))  # type: ignore[misc]

    def add_embeddings(
        self, features: NDArray[np.floating], labels: Mapping[str, Sequence[str]], tag: str = "features"
    ) -> None:
        """Show features on the high-dimensional data page; see ``add_images``.

        Args:
            features: ``[N, D]``. They are projected onto their leading principal components, at most 50: VisualDL's
                page draws those correctly, but loses most points of wider ones, and if there are fewer images than
                columns.
            labels: Name of a column -> N texts; at least two columns, or VisualDL's page does not load.
            tag: Title.
        """
        columns, header = list(labels.values()), list(labels)
        points = _principal(features)
        self._write(lambda: self._record.embeddings(tag, points, columns, header))

    def add_graph(self, graph: dict[str, Any]) -> None:
        """Show a network (see ``stage_graph``), in a separate file beside the record."""
        self._write(lambda: write_graph(self.folder, graph))

    def wants_gradients(self, step: int) -> bool:
        """Whether ``add_gradients`` should be called in this step, between backward and the update.

        Paddle's protocol has no hook there, so the training loop asks. True in the last step of every ``histograms``-th
        epoch, on the main process; never in ``paddle.Model.fit``, which does not ask.

        Args:
            step: Step in the epoch, from 0, as for ``on_train_batch_end``.
        """
        steps = self.params.get("steps") if self.params else None
        return bool(self._histograms_are_due() and steps and step == steps - 1)

    def add_gradients(self, gradients: Mapping[str, NDArray[Any]]) -> None:
        """Write one histogram per gradient.

        Args:
            gradients: State-dict key -> gradient of the whole batch; see ``wants_gradients``.
        """
        for name, values in gradients.items():
            self._record.histogram(f"gradients/{name}", values, self._epoch + 1)

    def hparams(self, parameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Add the run to the hyper-parameter page, to compare runs.

        Args:
            parameters: Name -> value; other types than numbers and text are shown as text, None is omitted.
            metrics: Name -> final value; None is omitted.
        """
        if not is_main_process():
            return
        shown = {f"hparam/{name}": as_float(value) for name, value in metrics.items() if value is not None}
        self._record.hparams({k: _plain(v) for k, v in parameters.items() if v is not None}, list(shown))
        for tag, value in shown.items():
            self._record.scalar(tag, value, self.step)
        self._record.flush()

    def close(self) -> None:
        """Flush and close the record; a later call reopens it."""
        self._record.close()

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
            self._record.open()
            for write in self._waiting:
                write()
        self._waiting.clear()

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Store the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, step: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write loss, accuracy and learning rates, once every ``every`` steps."""
        self.step += 1
        if not is_main_process() or (self.step - 1) % self.every:
            return
        logs = logs or {}
        for name in TRAINING_METRICS:
            if name in logs:
                self._record.scalar(f"train/{name}", as_float(logs[name]), self.step)
        if "lr" in logs:
            for group, share in self._groups.items():
                if share:
                    self._record.scalar(f"lr/{group}", as_float(logs["lr"]) * share, self.step)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write histograms of the trainable weights if they are due (epochs count from 1)."""
        if self._histograms_are_due():
            for name, weight in self.model.network.named_parameters():
                if not weight.stop_gradient:
                    self._record.histogram(f"weights/{name}", weight.astype("float32").numpy(), epoch + 1)

    def on_eval_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write the metrics of the validation images, once per epoch (counted from 1)."""
        if self._training and is_main_process():
            for name, value in metrics_of(logs).items():
                self._record.scalar(f"val/{name}", as_float(value), self._epoch + 1)

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Flush the record."""
        self._training = False
        self._record.flush()

    def _write(self, write: Callable[[], None]) -> None:
        """Write now, or once the training starts."""
        if not is_main_process():
            return
        if self._used:
            write()
        else:
            self._waiting.append(write)

    def _histograms_are_due(self) -> bool:
        due = self.histograms and (self._epoch + 1) % self.histograms == 0
        return bool(due and self._training and is_main_process())


def _plain(value: Any) -> int | float | str:
    """Convert a value to a type that VisualDL supports: number or text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return value


def _principal(features: NDArray[np.floating]) -> NDArray[np.floating]:
    """Leading principal components ``[N, min(50, N - 1, D)]`` (at least 1) of features ``[N, D]``."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, strength, _ = np.linalg.svd(centred, full_matrices=False)
    most = max(1, min(_MOST_COMPONENTS, len(features) - 1, features.shape[1]))
    return np.asarray(left[:, :most] * strength[:most])


def _grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One image ``[rows * H, columns * W, 3]``, roughly square, of N images; empty cells are black."""
    count, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:count] = images
    grid = grid.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)
