"""The folders of a data set as a tree, and the words in their names that mean training, validation and test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from toolkit.data.file_scan import FileNotes, images_below, list_folder

_WORDS: Mapping[str, tuple[str, ...]] = {
    "train": ("training", "train", "trn", "训练", "訓練"),
    "val": ("validation", "validate", "valid", "val", "development", "devel", "dev", "验证", "驗證"),
    "test": ("testing", "test", "tst", "holdout", "heldout", "测试", "測試"),
    "eval": ("evaluation", "evaluate", "eval"),
    "other": (
        "unlabeled", "unlabelled", "unsupervised", "unsup", "predictions", "prediction", "predict", "pred", "inference",
    ),
}  # fmt: skip
"""Words for each kind of split: ``eval`` is validation, or test if there is a validation split; ``other`` is not used
for training."""
_KINDS = {word: kind for kind, words in _WORDS.items() for word in words}
_FILLERS = (
    "datasets", "dataset", "data", "sets", "set", "images", "image", "imgs", "img", "pictures", "pics", "photos",
    "samples", "split", "part", "folder", "files", "jpg", "jpeg", "png", "集", "数据", "数据集", "數據", "图片", "图像",
)  # fmt: skip
_ONE_WORD = re.compile(rf"(?P<before>.*?)(?P<word>{'|'.join(_KINDS)})(?:{'|'.join(_FILLERS)})?")
_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_a-zA-Z]+")


@dataclass(frozen=True)
class Folder:
    """A folder, listed once.

    Attributes:
        path: The folder.
    """

    path: Path

    @cached_property
    def _listing(self) -> tuple[list[Path], list[Path]]:
        return list_folder(self.path, FileNotes(self.path))

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def images(self) -> list[Path]:
        """Images directly in the folder."""
        return self._listing[1]

    @cached_property
    def folders(self) -> list[Folder]:
        """Subfolders."""
        return [Folder(path) for path in self._listing[0]]

    @cached_property
    def holds_classes(self) -> bool:
        """True if all or most images lie in subfolders."""
        loose = len(self.images)
        return bool(self.folders) and (not loose or sum(len(folder.images) for folder in self.folders) > loose)

    @cached_property
    def unpacked(self) -> Folder:
        """The folder that holds the class folders: ``train/train/`` or ``train/images/`` for ``train/``."""
        if self.images or len(self.folders) != 1:
            return self
        only, kind = self.folders[0], kind_of(self.name)[0]
        alike = only.name.lower() == self.name.lower() or (kind and kind == kind_of(only.name)[0])
        return only.unpacked if only.holds_classes and (alike or only.name.lower() in _FILLERS) else self

    @cached_property
    def inner_names(self) -> frozenset[str]:
        """Names of the class folders, in lower case."""
        return frozenset(folder.name.lower() for folder in self.unpacked.folders) if self.holds_classes else frozenset()

    def count(self) -> int:
        """Return the number of images in the folder and below."""
        return len(images_below(self.path, FileNotes(self.path)))


def folder_below(root: Folder) -> Path | None:
    """Return the only folder below that leads to class folders; None if the class folders are here."""
    full = [folder for folder in root.folders if folder.count()]
    if len(full) != 1 or not full[0].holds_classes:
        return None
    return folder_below(full[0]) or full[0].path


def kind_of(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the kind of split in a name, if there is exactly one, and the other words of the name."""
    for text in (name, name.lower()):  # trainSet, and then TRAINset
        kinds, rest = [], []
        for token in (found.lower() for found in _TOKEN.findall(text)):
            match = _ONE_WORD.fullmatch(token)
            if match:
                kinds.append(_KINDS[match["word"]])
            if not match or match["before"]:
                rest.append(match["before"] if match else token)
        if len(kinds) == 1:
            return kinds[0], tuple(word for word in rest if word not in _FILLERS)
    return "", ()
