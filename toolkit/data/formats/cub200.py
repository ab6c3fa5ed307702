"""Format ``cub200``: the official files of CUB-200-2011 (Wah et al., 2011)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.data.formats.paths import read_lines, required_folder
from toolkit.data.images import FileImages
from toolkit.data.source import Source

_INDEX = "images.txt"


def read_cub200(config: DataConfig) -> Source:
    """Read images.txt, image_class_labels.txt, classes.txt and train_test_split.txt.

    The official training images are ``train``; the official test images are ``val``, as papers report them. (With
    ``data.test_fraction``, an additional test set is drawn from the training images.)

    Args:
        config: ``root``: the folder of images.txt, the folder above it, or its ``images`` folder.

    Returns:
        The images by split; class names as in classes.txt (``001.Black_footed_Albatross``).

    Raises:
        DataError: A file or line is missing, repeated or malformed; the message names the file and the id.
    """
    folder = _find(required_folder(config, "cub200"))
    paths = _table(folder / _INDEX)
    class_of = _table(folder / "image_class_labels.txt")
    training = _table(folder / "train_test_split.txt")
    names = _table(folder / "classes.txt")
    _same_ids("image", {_INDEX: paths, "image_class_labels.txt": class_of, "train_test_split.txt": training}, folder)
    _same_ids("class", {"classes.txt": names, "image_class_labels.txt": dict.fromkeys(class_of.values(), "")}, folder)
    class_ids = sorted(names, key=_as_number)
    index = {class_id: position for position, class_id in enumerate(class_ids)}
    splits = {}
    for split, flag in (("train", "1"), ("val", "0")):
        ids = sorted((image for image, value in training.items() if value == flag), key=_as_number)
        splits[split] = FileImages(
            [folder / "images" / paths[image] for image in ids], np.array([index[class_of[i]] for i in ids], np.int64)
        )
    if len(splits["train"]) + len(splits["val"]) < len(paths):
        wrong = sorted((image for image, value in training.items() if value not in "01"), key=_as_number)
        raise DataError(f"{folder / 'train_test_split.txt'}: expected 0 or 1 for image {listed(wrong)}")
    return Source(tuple(names[class_id] for class_id in class_ids), splits)


def _find(root: Path) -> Path:
    """Return the folder with images.txt at, above or directly below ``root``."""
    folders = [root, root.parent] if root.name == "images" else [root]
    folders += sorted(entry for entry in root.iterdir() if entry.is_dir())
    for folder in folders:
        if (folder / _INDEX).is_file():
            return folder
    raise DataError(
        f"{root} has no {_INDEX}, expected the unpacked CUB_200_2011",
        hint="set data.root to the folder that holds images.txt, classes.txt and images/",
    )


def _table(path: Path) -> dict[str, str]:
    """Read ``id value`` lines as a dict."""
    table: dict[str, str] = {}
    for line_number, line in read_lines(path):
        key, _, value = line.partition(" ")
        if not key.isdigit() or not value:
            raise DataError(f"{path}:{line_number}: expected 'id value', got {line[:80]!r}", hint="restore the file")
        if key in table:
            raise DataError(f"{path}:{line_number}: id {key} is repeated", hint="restore the official file")
        table[key] = value.strip()
    return table


def _same_ids(kind: str, tables: dict[str, dict[str, str]], folder: Path) -> None:
    all_ids = set().union(*tables.values())
    for file, table in tables.items():
        missing = sorted(all_ids - set(table), key=_as_number)
        if missing:
            raise DataError(
                f"{folder / file} has no line for {kind} {listed(missing)}", hint="restore the official file"
            )


def _as_number(text: str) -> int:
    return int(text) if text.isdigit() else -1
