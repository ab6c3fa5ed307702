"""Data sets given in Python: lists, a frame, arrays or a Paddle data set, as files that a run can read again.

A run must be able to read its images later: to be resumed, evaluated and reported on. So tables and arrays are written
once into a folder whose name is a digest of their content, and read from there by the ``csv`` format.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from toolkit.core.console import info
from toolkit.core.errors import DataError
from toolkit.core.files import clear_os_errors
from toolkit.core.names import did_you_mean, listed
from toolkit.data.given_labels import SPLITS, frame_labels, make_table, named_labels, plain
from toolkit.tasks import TaskName

if TYPE_CHECKING:
    import pandas

_CHANNELS = (1, 3, 4)
_FOLDER = Path("~/.cache/paddle-finetune/data")
_TABLE = "train.csv"


class Items(Protocol):
    """A map-style data set such as ``paddle.io.Dataset``: items are pairs of an image and a label."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Any: ...


@dataclass(frozen=True, repr=False)
class Data:
    """Labelled images for a ``FineTuner``.

    Attributes:
        values: The ``data`` section of a configuration.
        name: Name of the data set, which names the run.
        task: What the labels are.
    """

    values: Mapping[str, Any]
    name: str = "images"
    task: TaskName = "classification"

    @property
    def path(self) -> Path:
        """The images' folder, list or table."""
        return Path(self.values["root"]) / (_TABLE if self.values.get("format") == "csv" else "")

    def __repr__(self) -> str:
        return f"Data({self.name!r}, {self.task}, format {self.values.get('format', 'folder')})"

    @classmethod
    def from_folder(cls, root: str | Path, **options: Any) -> Data:
        """Read a folder with one folder per class, or ``train/``, ``val/``, ``test/`` with one folder per class each.

        Args:
            root: The folder.
            options: Other keys of the ``data`` section, for example ``val_fraction=0.3``.
        """
        path = Path(root).expanduser()
        return cls({"format": "folder", "root": path, **options}, path.resolve().name or "images")

    @classmethod
    def from_lists(
        cls,
        paths: Sequence[str | Path],
        labels: Sequence[Any],
        splits: Sequence[str] | None = None,
        *,
        task: TaskName = "classification",
        names: Sequence[str] | None = None,
        name: str = "images",
        **options: Any,
    ) -> Data:
        """Take image files and their labels.

        Args:
            paths: N image files.
            labels: N labels. Classification: a class name or number each. Multilabel: a list of names each. Regression:
                a number, or a list of numbers, each.
            splits: ``train``, ``val`` or ``test`` for each image; by default validation images are drawn.
            task: What the labels are.
            names: Names of the targets of a regression; by default ``target`` or ``target_1``, ...
            name: Name of the data set, which names the run.
            options: Other keys of the ``data`` section.

        Raises:
            DataError: The lengths differ, or a label does not suit the task.
        """
        absolute = [Path(path).expanduser().absolute() for path in paths]
        table = make_table([str(path) for path in absolute], labels, splits, task, names)
        folder = _written(table, {}, _digest(table))
        return cls(_section(folder, table, task, options), name, task)

    @classmethod
    def from_frame(
        cls,
        frame: pandas.DataFrame,
        path: str = "path",
        label: str | Sequence[str] = "label",
        split: str | None = None,
        *,
        root: str | Path = ".",
        task: TaskName = "classification",
        name: str = "images",
        **options: Any,
    ) -> Data:
        """Take a pandas frame with one row per image.

        Args:
            frame: The frame.
            path: Column of image files.
            label: Column of labels; multilabel and regression: also several columns (0 and 1; numbers).
            split: Column of ``train``, ``val`` and ``test``; by default validation images are drawn.
            root: Folder that relative paths start from.
            task: What the labels are.
            name: Name of the data set, which names the run.
            options: Other keys of the ``data`` section.

        Raises:
            DataError: A column is missing, or a label does not suit the task.
        """
        columns = [label] if isinstance(label, str) else list(label)
        wanted = [path, *columns, *([] if split is None else [split])]
        known = [str(column) for column in frame.columns]
        for column in wanted:
            if column not in known:
                guess = did_you_mean(column, known)
                raise DataError(f"the frame has no column {column!r}", hint=guess or f"its columns: {listed(known)}")
        labels = frame_labels(frame, columns, task)
        paths = [Path(root).expanduser() / str(given) for given in frame[path]]
        splits = None if split is None else [str(given) for given in frame[split]]
        return cls.from_lists(paths, labels, splits, task=task, names=columns, name=name, **options)

    @classmethod
    def from_arrays(
        cls,
        images: npt.NDArray[Any] | Sequence[npt.ArrayLike],
        labels: Sequence[Any] | npt.NDArray[Any],
        splits: Sequence[str] | None = None,
        *,
        classes: Sequence[str] | None = None,
        task: TaskName = "classification",
        name: str = "images",
        **options: Any,
    ) -> Data:
        """Take images in memory; they are written as PNG files into the cache.

        Args:
            images: uint8 or floats in [0, 1], ``[N, H, W]`` or ``[N, H, W, channels]`` (RGB), or N single images of any
                size.
            labels: As for ``from_lists``.
            splits: As for ``from_lists``.
            classes: Names of the classes that labels 0, 1, ... stand for.
            task: What the labels are.
            name: Name of the data set, which names the run.
            options: Other keys of the ``data`` section.

        Raises:
            DataError: An image has another shape or range, or a label does not suit the task.
        """
        pixels = {f"{i:06d}.png": _pixels(image, f"image {i}") for i, image in enumerate(images)}
        if any(np.asarray(image).dtype.kind == "f" for image in images):
            info("floats in [0, 1] are stored as 8-bit values")
        if classes is not None:
            options = {"classes": tuple(classes), **options}
        table = make_table(list(pixels), named_labels(labels, classes), splits, task, None)
        digest = _digest(table, pixels.values())
        folder = _written(table, pixels, digest)
        return cls(_section(folder, table, task, options), name, task)

    @classmethod
    def from_dataset(
        cls,
        train: Items,
        val: Items | None = None,
        test: Items | None = None,
        *,
        classes: Sequence[str] | None = None,
        task: TaskName = "classification",
        name: str = "images",
        **options: Any,
    ) -> Data:
        """Take a ``paddle.io.Dataset``, or anything like it, of (image, label) pairs without augmentation.

        Args:
            train: Training images: PIL images, arrays or tensors, ``[H, W, channels]`` or ``[channels, H, W]``.
            val: Validation images; by default drawn from ``train``.
            test: Test images.
            classes: Names of the classes that labels 0, 1, ... stand for.
            task: What the labels are.
            name: Name of the data set, which names the run.
            options: Other keys of the ``data`` section.

        Raises:
            DataError: An item is not a pair, or see ``from_arrays``.
        """
        images, labels, splits, moved = [], [], [], False
        for split, items in zip(SPLITS, (train, val, test), strict=True):
            for index in range(len(items) if items is not None else 0):
                item = items[index]  # type: ignore[index]
                if not isinstance(item, (tuple, list)) or len(item) != 2:
                    kind = type(item).__name__
                    raise DataError(f"item {index} of the {split} data set is {kind}, not an (image, label) pair")
                images.append(_channels_last(item[0]))
                moved = moved or images[-1].shape != np.shape(item[0])
                labels.append(plain(item[1]))
                splits.append(split)
        if moved:
            info("images are taken as [channels, H, W]")
        given = splits if val is not None or test is not None else None
        return cls.from_arrays(images, labels, given, classes=classes, task=task, name=name, **options)


def _channels_last(image: Any) -> npt.NDArray[Any]:
    array = np.asarray(image.numpy() if hasattr(image, "numpy") else image)
    first = array.ndim == 3 and array.shape[0] in _CHANNELS and array.shape[-1] not in _CHANNELS
    return array.transpose(1, 2, 0) if first else array


def _pixels(image: npt.ArrayLike, what: str) -> npt.NDArray[np.uint8]:
    """An image as uint8 ``[H, W]`` or ``[H, W, channels]``."""
    array = np.asarray(image)
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[-1] not in _CHANNELS) or 0 in array.shape:
        raise DataError(f"{what} has shape {list(array.shape)}; expected [H, W] or [H, W, channels] with 1, 3 or 4")
    if array.dtype == np.uint8:
        return array
    least, most = array.min(), array.max()
    if array.dtype.kind == "f" and least >= 0 and most <= 1:
        return np.rint(array * 255).astype(np.uint8)
    raise DataError(
        f"{what} is {array.dtype} from {least:g} to {most:g}; expected uint8, or floats in [0, 1]",
        hint="undo a normalisation: the toolkit normalises images itself",
    )


def _section(folder: Path, table: list[list[str]], task: TaskName, options: Mapping[str, Any]) -> dict[str, Any]:
    columns = tuple(name for name in table[0][1:] if name != "split")
    return {"format": "csv", "root": folder, "image_column": "path", "label_columns": columns, **options}


def _text(table: list[list[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def _digest(table: list[list[str]], pixels: Iterable[npt.NDArray[np.uint8]] = ()) -> str:
    digest = hashlib.blake2b(_text(table).encode(errors="surrogateescape"), digest_size=16)
    for image in pixels:
        digest.update(f"{image.shape}".encode())
        digest.update(image.tobytes())
    return digest.hexdigest()


def _written(table: list[list[str]], pixels: Mapping[str, npt.NDArray[np.uint8]], digest: str) -> Path:
    """Write a table and its images once, into a folder that appears when it is complete."""
    import cv2

    target = _FOLDER.expanduser() / digest
    if target.is_dir():
        return target
    with clear_os_errors(str(target), place="HOME"):
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{digest}.", dir=target.parent))
        try:
            for name, image in pixels.items():
                colour = image if image.ndim == 2 or image.shape[-1] == 1 else _bgr(image)
                (folder / name).write_bytes(cv2.imencode(".png", colour)[1].tobytes())
            (folder / _TABLE).write_text(_text(table), encoding="utf-8", errors="surrogateescape")
            os.replace(folder, target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if pixels:
        info(f"{len(pixels)} images written to {_FOLDER / digest}")
    return target


def _bgr(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(image[..., [2, 1, 0, *range(3, image.shape[-1])]])
