"""The base class of all predictors: images in, predictions out."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.core.console import progress
from toolkit.core.errors import DataError, DeployError
from toolkit.core.runtime import cpu_settings
from toolkit.data import Preprocessing
from toolkit.data.augmentation import Flip
from toolkit.data.channels import Pixels
from toolkit.data.pool import TIMEOUT
from toolkit.data.views import MOST_VIEWS, View, views_of
from toolkit.deploy.image_sources import ImageSource, as_pixels, list_images
from toolkit.deploy.inputs import read_ahead
from toolkit.deploy.prediction import THRESHOLD, Prediction, predictions_csv, read_outputs
from toolkit.tasks import TASKS, TaskName

if TYPE_CHECKING:
    import pandas

_MAX_READERS = 4
_Named: TypeAlias = "tuple[str, ImageSource]"
_Ready: TypeAlias = "tuple[str, npt.NDArray[np.float32] | DataError]"


class ImagePredictor(ABC):
    """Predict the content of images.

    Attributes:
        classes: Names of the classes, labels or targets; position i is output i.
        preprocessing: Preprocessing for the network's input.
        task: What the outputs are.
        flip: Mirroring that does not change the meaning of an image, for ``tta``.
        tta: Default number of views per image that ``predict`` averages.
    """

    def __init__(
        self,
        classes: Sequence[str],
        preprocessing: Preprocessing,
        task: TaskName = "classification",
        flip: Flip = "none",
        tta: int = 1,
    ) -> None:
        self.classes = tuple(classes)
        self.preprocessing = preprocessing
        self.task: TaskName = task
        self.flip: Flip = flip
        self.tta = tta

    @property
    def channels(self) -> int:
        """Channels of the images: 1 gray, 3 RGB, or another number."""
        return self.preprocessing.channels

    @abstractmethod
    def outputs(self, images: npt.NDArray[np.float32], batch_size: int = 8) -> npt.NDArray[np.float32]:
        """Compute the outputs for preprocessed images.

        Args:
            images: float32 ``[N, channels, S, S]``.
            batch_size: Number of images per batch. Small batches are fast on a CPU.

        Returns:
            float32 ``[N, len(classes)]``. Classification: probabilities, each row sums to 1. Multilabel: the
            probability of each label, in [0, 1]. Regression: values in the targets' units.

        Raises:
            DeployError: The shape is wrong.
        """

    def predict(
        self,
        images: Sequence[ImageSource] | ImageSource,
        topk: int = 5,
        batch_size: int = 8,
        names: Sequence[str] | None = None,
        threshold: float | None = None,
        tta: int | None = None,
        on_bad_image: Literal["error", "keep"] = "error",
        timeout: float = TIMEOUT,
    ) -> list[Prediction]:
        """Predict from images; a few threads read files ahead of the network.

        Args:
            images: Files, folders (all images in them), PIL images of any mode, or arrays: ``[H, W, channels]``, gray
                also ``[H, W]``, uint8 or floats in [0, 1]; one or a list. Colours are RGB: convert images read by
                OpenCV from BGR, which cannot be detected here. Gray is converted to RGB, and RGB to gray, as the model
                requires.
            topk: Number of classes or label scores per image, >= 1; all if the model has fewer.
            batch_size: Number of images per batch, >= 1.
            names: Names of the images; by default the path of a file, and ``image <i>`` for an image in memory.
            threshold: Multilabel only: a label is predicted if its probability is above this, in [0, 1); by default
                0.5.
            tta: Test-time augmentation: number of views of each image (centre, mirrored if allowed, corners, more
                crops; see ``toolkit.data.views``) over which to average probabilities or regression values, 1 to 64; by
                default as the model was exported, else 1. The time grows in proportion.
            on_bad_image: For files that cannot be read, ``error`` raises at the first one; ``keep`` returns a
                prediction with only ``path`` and ``error``.
            timeout: Give up if no image is read for this many seconds, > 0.

        Returns:
            One prediction per image, in order.

        Raises:
            DataError: An image cannot be read and ``on_bad_image`` is ``error``, or none was read for ``timeout``
                seconds. The message names it.
            DeployError: An argument is out of range, the threshold does not apply to the task, or the model gives NaN.
        """
        tta = self.tta if tta is None else tta
        self._check_arguments(topk, batch_size, threshold, tta)
        if not timeout > 0:
            raise DeployError(f"timeout is {timeout}; expected more than 0 seconds")
        views = views_of(self.preprocessing, self.flip, tta)
        sources = list_images(images)
        named = list(zip(names or [_name(i, source) for i, source in enumerate(sources)], sources, strict=True))
        workers = max(1, min(_MAX_READERS, int(cpu_settings().threads)))
        predictions: list[Prediction] = []
        with progress() as bar:
            task = bar.add_task("predicting", total=len(named))
            prepare = partial(self._prepare, views, on_bad_image == "keep")
            ahead = 2 * max(batch_size, workers)
            ready = read_ahead(named, prepare, workers, ahead, name=itemgetter(0), timeout=timeout)
            for batch in _batches(ready, batch_size):
                predictions.extend(self._predict_batch(batch, topk, THRESHOLD if threshold is None else threshold))
                bar.update(task, completed=len(predictions))
        return predictions

    def __call__(self, images: Sequence[ImageSource] | ImageSource, **options: Any) -> Prediction | list[Prediction]:
        """Predict from one image, or from several: a list of predictions for a list or a folder.

        Args:
            images: As for ``predict``.
            options: Other arguments of ``predict``.
        """
        found = self.predict(images, **options)
        several = isinstance(images, (list, tuple)) or (isinstance(images, (str, Path)) and Path(images).is_dir())
        return found if several else found[0]

    def frame(self, images: Sequence[ImageSource] | ImageSource, topk: int = 1, **options: Any) -> pandas.DataFrame:
        """Predict, and return a pandas frame with the columns of ``predict --csv``.

        Args:
            images: As for ``predict``.
            topk: As for ``predict``; each class or label has a row.
            options: Other arguments of ``predict``.
        """
        import pandas

        return pandas.read_csv(io.StringIO(predictions_csv(self.predict(images, topk, **options))))

    def _check_arguments(self, topk: int, batch_size: int, threshold: float | None, tta: int) -> None:
        if topk < 1 or batch_size < 1:
            raise DeployError(f"topk and batch_size must be at least 1, not {topk} and {batch_size}")
        if not 1 <= tta <= MOST_VIEWS:
            raise DeployError(f"tta is {tta}; expected 1 to {MOST_VIEWS} views of an image")
        if threshold is None:
            return
        if not TASKS[self.task].takes_threshold:
            raise DeployError(f"a threshold is for multilabel models, but this is a {self.task} model")
        if not 0 <= threshold < 1:
            raise DeployError(f"the threshold is {threshold}; expected a probability from 0 to below 1")

    def _prepare(self, views: Sequence[View], keep: bool, named: _Named) -> _Ready:
        """Return the name of an image, and all its views ``[V, C, S, S]`` or why its file cannot be read."""
        name, source = named
        try:
            pixels = self._pixels(name, source)
        except DataError as error:
            if keep and isinstance(source, (str, Path)):
                return name, error
            raise
        return name, np.stack([view.apply(pixels) for view in views])

    def _pixels(self, name: str, source: ImageSource) -> Pixels:
        return as_pixels(name, source, self.channels, self.preprocessing.decoding)

    def _predict_batch(self, batch: Sequence[_Ready], topk: int, threshold: float) -> Iterator[Prediction]:
        readable = [views for _, views in batch if not isinstance(views, DataError)]
        rows: Iterator[Any] = iter(())
        if readable:
            outputs = self.outputs(np.concatenate(readable), len(readable))
            rows = iter(outputs.reshape(len(readable), -1, outputs.shape[1]).mean(axis=1))
        for name, views in batch:
            if isinstance(views, DataError):
                yield Prediction(name, error=views.message, task=self.task)
                continue
            row = next(rows)
            if not np.isfinite(row).all():
                raise DeployError(f"the model gives NaN for {name}", hint="its weights are damaged; train it again")
            yield read_outputs(self.task, name, row, self.classes, topk, threshold)

    def _check_images(self, images: npt.NDArray[np.float32]) -> None:
        side = self.preprocessing.image_size
        if images.ndim != 4 or images.shape[1:] != (self.channels, side, side) or len(images) == 0:
            raise DeployError(
                f"expected images [N, {self.channels}, {side}, {side}] with N at least 1, not {list(images.shape)}"
            )


def _name(index: int, source: ImageSource) -> str:
    return str(source) if isinstance(source, (str, Path)) else f"image {index}"


def _batches(items: Iterator[_Ready], size: int) -> Iterator[list[_Ready]]:
    while batch := list(islice(items, size)):
        yield batch
