"""Everything a run needs to know of its data."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from toolkit.data.augmentation import Augmentation, Content, Flip
from toolkit.data.images import ImageSet
from toolkit.data.preprocessing import Preprocessing

__all__ = ["DataBundle"]


@dataclass(frozen=True)
class DataBundle:
    """The image sets of one job and the facts about them.

    Attributes:
        train: Training images.
        val: Validation images.
        test: Test images, where the data set or the config has some.
        classes: Class names; a label is a position in here.
        crop_ratio: Evaluation: centre crop as a fraction of the resized short side.
        flip: Mirroring in training, resolved: ``none``, ``horizontal`` or ``both``.
        content: What the pictures are, for augmentation: ``photo``, ``tiny`` or ``glyph``.
    """

    train: ImageSet
    val: ImageSet
    test: ImageSet | None
    classes: tuple[str, ...]
    crop_ratio: float = 0.875
    flip: Flip = "horizontal"
    content: Content = "photo"

    @property
    def parts(self) -> dict[str, ImageSet]:
        """The image sets by name, ``train``, ``val`` and, if there, ``test``."""
        parts = {"train": self.train, "val": self.val}
        return parts if self.test is None else {**parts, "test": self.test}

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
        """Number of pictures by part and class."""
        return {
            part: dict(zip(self.classes, np.bincount(images.labels, minlength=len(self.classes)).tolist(), strict=True))
            for part, images in self.parts.items()
        }

    def fingerprint(self) -> str:
        """A digest of pictures (files: path, size, modification time), labels, split and classes; hex, 64 digits."""
        digest = hashlib.sha256("\0".join(self.classes).encode(errors="surrogateescape"))
        for part, images in self.parts.items():
            digest.update(f"\0{part}:{images.fingerprint()}".encode())
        return digest.hexdigest()
