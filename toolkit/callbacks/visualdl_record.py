"""One VisualDL record file, which a resumed run continues."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.errors import ConfigError
from toolkit.core.files import clear_os_errors
from toolkit.core.home import writable_home

_BUCKETS = 40
_MOST_VALUES = 100_000


class VisualDLRecord:
    """A record with a fixed name: VisualDL reads one file per folder and shows points in file order.

    Nothing is written before the first point, or ``open``. A ``%`` in a tag becomes ``_``, as VisualDL requires.

    Args:
        path: The file; its name contains ``vdlrecords``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: Any = None
        self._keep: int | None = 0

    def begin(self, keep: int = 0) -> None:
        """Set what the next point continues.

        Args:
            keep: Bytes of the file to keep, the rest is cut off; 0 sets an older file aside as ``earlier.<k>.log``.
        """
        self.close()
        self._keep = keep

    def size(self) -> int:
        """Bytes of this record so far; 0 before its first point."""
        self.flush()
        return self.path.stat().st_size if self._keep is None and self.path.exists() else 0

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write one point of a curve."""
        self.open().add_scalar(as_tag(tag), value, step)

    def image(self, tag: str, image: NDArray[np.uint8], step: int) -> None:
        """Write an image ``[H, W, 3]``, uint8, RGB."""
        if image.max(initial=0) <= 1:
            image = np.zeros_like(image)  # VisualDL reads 0 and 1 as black and white
        self.open().add_image(as_tag(tag), image, step)

    def histogram(self, tag: str, values: NDArray[Any], step: int) -> None:
        """Write the distribution of the finite values; large arrays are sampled at every k-th value."""
        flat = np.asarray(values).reshape(-1)
        flat = flat[:: max(1, flat.size // _MOST_VALUES)].astype(np.float64)
        flat = flat[np.isfinite(flat)]
        if flat.size:
            self.open().add_histogram(as_tag(tag), flat, step, buckets=_BUCKETS)

    def embeddings(
        self, tag: str, features: NDArray[np.floating], labels: Sequence[Sequence[str]], header: Sequence[str]
    ) -> None:
        """Write points ``[N, D]``, to view in two or three dimensions.

        Args:
            tag: Title.
            features: Coordinates of the points.
            labels: Columns of N texts each.
            header: Name of each column.
        """
        columns = [[text.replace("\t", " ") for text in column] for column in labels]
        matrix = features.astype(np.float64).tolist()
        self.open().add_embeddings(as_tag(tag), mat=matrix, metadata=columns, metadata_header=list(header))

    def hparams(self, parameters: Mapping[str, int | float | str], metrics: Sequence[str]) -> None:
        """Write a row of the hyper-parameter page; the metrics are scalars with these tags."""
        self.open().add_hparams(dict(parameters), list(metrics))

    def flush(self) -> None:
        """Flush the record."""
        if self._writer is not None:
            with clear_os_errors(str(self.path)):
                self._writer.flush()

    def close(self) -> None:
        """Flush and close the file; a later point reopens it."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def open(self) -> Any:
        """VisualDL's writer, created on first use.

        Raises:
            ConfigError: VisualDL is not installed.
            ToolkitError: The folder cannot be written.
        """
        if self._writer is None:
            try:
                with writable_home():
                    from visualdl import LogWriter  # heavy, and not needed without a record
            except ImportError as error:
                raise ConfigError(
                    "log.visualdl is on, but VisualDL is not installed", hint="pip install visualdl"
                ) from error
            with clear_os_errors(str(self.path)), redirect_stdout(io.StringIO()):  # prints a notice about old records
                self._cut()
                self._writer = LogWriter(logdir=str(self.path.parent), file_name=self.path.name)
        return self._writer

    def _cut(self) -> None:
        """Keep only what belongs to this training."""
        keep, self._keep = self._keep, None
        if keep is None or not self.path.exists():
            return
        if keep:
            os.truncate(self.path, min(keep, self.path.stat().st_size))
        else:
            taken = len(list(self.path.parent.glob("earlier.*.log")))
            self.path.rename(self.path.parent / f"earlier.{taken + 1}.log")


def as_tag(text: str) -> str:
    """Convert text to a VisualDL tag; a slash makes a group."""
    return text.replace("%", "_")
