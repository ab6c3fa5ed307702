"""Everything a run needs to know of its data."""

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
        train: Training images; those of weight 0 are left out, so that they are in no statistic.
        val: Validation images.
        test: Test images, where the data set or the config has some.
        classes: Names of the classes, labels or targets: one for each output of a network. A class number is a position
            in here, and so is a column of labels or targets.
        crop_ratio: Evaluation: centre crop as a fraction of the resized short side.
        flip: Mirroring in training, resolved: ``none``, ``horizontal`` or ``both``.
        content: What the pictures are, for augmentation: ``photo``, ``tiny`` or ``glyph``.
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
        """The image sets by name, ``train``, ``val`` and, if there, ``test``."""
        splits = {"train": self.train, "val": self.val}
        return splits if self.test is None else {**splits, "test": self.test}

    @property
    def evaluation(self) -> tuple[str, ImageSet]:
        """Name and images of the final evaluation: ``test`` if there, else ``val``."""
        return ("val", self.val) if self.test is None else ("test", self.test)

    def augmentation(self, level: str, preprocessing: Preprocessing) -> Augmentation:
        """Augmentation that suits these pictures.

        Args:
            level: ``none``, ``standard`` or ``strong``.
            preprocessing: Gives the size of the output, and for ``none`` the crop.
        """
        return Augmentation(level, preprocessing.image_size, self.flip, self.content, preprocessing.crop_ratio)

    def counts(self) -> dict[str, dict[str, int]]:
        """Number of pictures by part and class; of those with a label; of those with a number for a target: of all."""
        count = TASKS[self.task].counts
        return {
            split: dict(zip(self.classes, count(images.labels, len(self.classes)).tolist(), strict=True))
            for split, images in self.splits.items()
        }

    def target_statistics(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Mean and standard deviation (of the population) of each target over the training images.

        Returns:
            Two float64 arrays ``[T]`` in the targets' units; no standard deviation is 0.

        Raises:
            ValueError: The task is no regression.
        """
        if not TASKS[self.task].predicts_numbers:
            raise ValueError(f"a {self.task} task has no targets")
        values = self.train.labels.astype(np.float64)
        return values.mean(axis=0), values.std(axis=0)

    def describe_targets(self) -> dict[str, dict[str, dict[str, float]]]:
        """``mean``, ``std``, ``min`` and ``max`` by part and target, in the targets' units.

        Raises:
            ValueError: The task is no regression.
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
        """A digest of pictures (files: path, size, modification time), labels, split and classes; hex, 64 digits."""
        digest = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for split, images in self.splits.items():
            digest.update(f"\0{split}:{images.fingerprint()}".encode())
        return digest.hexdigest()
