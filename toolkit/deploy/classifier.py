"""What every kind of predictor has in common: pictures in, ranked classes out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.console import progress
from toolkit.data import Preprocessing, read_image
from toolkit.deploy.inputs import read_ahead
from toolkit.deploy.prediction import Prediction, rank_classes
from toolkit.errors import DataError, DeployError
from toolkit.runtime import cpu_settings

__all__ = ["ImageClassifier", "Picture"]

Picture: TypeAlias = "str | Path | npt.NDArray[np.uint8]"
_MAX_READERS = 4
_Named: TypeAlias = "tuple[str, Picture]"
_Ready: TypeAlias = "tuple[str, npt.NDArray[np.float32]]"


class ImageClassifier(ABC):
    """Recognises pictures.

    Attributes:
        classes: Class names; position i is output i.
        preprocessing: From a picture to the network's input.
    """

    def __init__(self, classes: Sequence[str], preprocessing: Preprocessing) -> None:
        self.classes = tuple(classes)
        self.preprocessing = preprocessing

    @abstractmethod
    def probabilities(self, images: npt.NDArray[np.float32], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Probabilities of preprocessed images.

        Args:
            images: float32 ``[N, 3, S, S]``.
            batch_size: How many go through the network at once. Small is fast on a CPU.

        Returns:
            float32 ``[N, len(classes)]``; each row sums to 1.

        Raises:
            DeployError: The shape does not fit.
        """

    def predict(
        self,
        images: Sequence[Picture] | Picture,
        topk: int = 5,
        batch_size: int = 8,
        names: Sequence[str] | None = None,
    ) -> list[Prediction]:
        """Recognise pictures; files are read in a few threads ahead of the network.

        Args:
            images: Files, or pictures in memory (RGB uint8 ``[H, W, 3]``); one or many.
            topk: How many classes to give for each, at least 1; all when the model has fewer.
            batch_size: How many go through the network at once, at least 1.
            names: What to call the pictures; by default a file's path, and ``image <i>`` for one in memory.

        Returns:
            One prediction a picture, in order.

        Raises:
            DataError: A picture cannot be read; the message names it.
            DeployError: ``topk`` or ``batch_size`` below 1, or the model gives NaN.
        """
        if topk < 1 or batch_size < 1:
            raise DeployError(f"topk and batch_size must be at least 1, not {topk} and {batch_size}")
        pictures = _as_list(images)
        named = list(zip(names or [_name(i, picture) for i, picture in enumerate(pictures)], pictures, strict=True))
        workers = max(1, min(_MAX_READERS, int(cpu_settings().threads)))
        predictions: list[Prediction] = []
        with progress() as bar:
            task = bar.add_task("recognising", total=len(named))
            ready = read_ahead(named, self._prepare, workers, ahead=2 * max(batch_size, workers))
            for batch in _batches(ready, batch_size):
                predictions.extend(self._recognise(batch, topk))
                bar.update(task, completed=len(predictions))
        return predictions

    def _prepare(self, named: _Named) -> _Ready:
        name, picture = named
        if isinstance(picture, (str, Path)):
            return name, self.preprocessing.apply(read_image(picture))
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise DataError(f"{name}: expected RGB uint8 [H, W, 3], not {picture.dtype} {list(picture.shape)}")
        return name, self.preprocessing.apply(picture)

    def _recognise(self, batch: Sequence[_Ready], topk: int) -> Iterator[Prediction]:
        rows = self.probabilities(np.stack([image for _, image in batch]), len(batch))
        for (name, _), row in zip(batch, rows, strict=True):
            if not np.isfinite(row).all():
                raise DeployError(f"the model gives NaN for {name}", hint="its weights are damaged; train it again")
            yield rank_classes(name, row, self.classes, topk)

    def _check_images(self, images: npt.NDArray[np.float32]) -> None:
        side = self.preprocessing.image_size
        if images.ndim != 4 or images.shape[1:] != (3, side, side) or len(images) == 0:
            raise DeployError(f"expected images [N, 3, {side}, {side}] with N at least 1, not {list(images.shape)}")


def _as_list(images: Sequence[Picture] | Picture) -> list[Any]:
    if isinstance(images, (str, Path)) or (isinstance(images, np.ndarray) and images.ndim == 3):
        return [images]
    return list(images)


def _name(index: int, picture: Picture) -> str:
    return str(picture) if isinstance(picture, (str, Path)) else f"image {index}"


def _batches(items: Iterator[_Ready], size: int) -> Iterator[list[_Ready]]:
    while batch := list(islice(items, size)):
        yield batch
