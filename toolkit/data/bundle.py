"""Everything a run needs to know about its data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DataError
from toolkit.data.augmentation import Augmentation, Content, Flip
from toolkit.data.images import ImageSet
from toolkit.data.preprocessing import Preprocessing
from toolkit.tasks import TASKS, TaskName


@dataclass(frozen=True)
class DataBundle:
    """The image sets of one job and the facts about them.

    Attributes:
        train: Training images, without those of weight 0, so that no statistic includes them.
        val: Validation images.
        test: Test images, if the data set or the config provides them.
        classes: Names of the classes, labels or targets, one for each output of a network. Class indices and columns
            of labels or targets are positions in this tuple.
        crop_ratio: Evaluation: centre crop as a fraction of the resized short side.
        flip: Resolved mirroring in training: ``none``, ``horizontal`` or ``both``.
        content: What the images show, for augmentation: ``photo``, ``tiny`` or ``glyph``.
        task: ``classification``, ``multilabel`` or ``regression``.

    Raises:
        DataError: All training images have weight 0.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    crop_ratio: float = 0.875
    flip: Flip = "horizontal"
    content: Content = "photo"
    task: TaskName = "classification"

    def __post_init__(self) -> None:
        weights = self.train.weights
        if weights is None or weights.all():
            return
        counting = np.flatnonzero(weights)
        if not len(counting):
            raise DataError(
                f"all {len(weights)} training images have weight 0", hint="give some of them a weight above 0"
            )
        object.__setattr__(self, "train", self.train.take(counting))

    @property
    def splits(self) -> dict[str, ImageSet]:
        """The image sets by name: ``train``, ``val`` and, if present, ``test``."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    @property
    def evaluation(self) -> tuple[str, ImageSet]:
        """Name and images of the final evaluation: ``test`` if present, else ``val``."""
        return ("val", self.val) if self.test is None else ("test", self.test)

    def augmentation(self, level: str, preprocessing: Preprocessing) -> Augmentation:
        """Return the augmentation that suits these images.

        Args:
            level: ``none``, ``standard`` or ``strong``.
            preprocessing: Gives the size of the output, and for ``none`` the crop.
        """
        return Augmentation(level, preprocessing.image_size, self.flip, self.content, preprocessing.crop_ratio)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of images by split and class, or by split and label; for targets, the number of all images."""
        count = TASKS[self.task].counts
        return {
            split: dict(zip(self.classes, count(images.labels, len(self.classes)).tolist(), strict=True))
            for split, images in self.splits.items()
        }

    def target_statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return mean and population standard deviation of each target over the training images.

        Returns:
            Two float64 arrays ``[T]`` in the targets' units; standard deviations are never 0.

        Raises:
            ValueError: The task is not regression.
        """
        if not TASKS[self.task].predicts_numbers:
            raise ValueError(f"a {self.task} task has no targets")
        values = self.train.labels.astype(np.float64)
        return values.mean(axis=0), values.std(axis=0)

    def describe_targets(self) -> dict[str, dict[str, dict[str, float]]]:
        """Return ``mean``, ``std``, ``min`` and ``max`` by split and target, in the targets' units.

        Raises:
            ValueError: The task is not regression.
        """
        if not TASKS[self.task].predicts_numbers:
            raise ValueError(f"a {self.task} task has no targets")
        measures: dict[str, Callable[..., Any]] = {"mean": np.mean, "std": np.std, "min": np.min, "max": np.max}
        return {
            split: {
                name: {key: float(measure(column)) for key, measure in measures.items()}
                for name, column in zip(self.classes, images.labels.T.astype(np.float64), strict=True)
            }
            for split, images in self.splits.items()
        }

    def fingerprint(self) -> str:
        """Digest of images (for files: path, size, modification time), labels, splits and classes; 64 hex digits."""
        digest = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for split, images in self.splits.items():
            digest.update(f"\0{split}:{images.fingerprint()}".encode())
        return digest.hexdigest()
