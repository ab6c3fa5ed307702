"""Safe readers for the archives of CIFAR-10/100, MNIST, Fashion-MNIST and Flowers-102.

Paddle's readers unpickle archives, which runs any code in them, and unpack them without limits. These readers accept
only plain data, no more of it than the format allows, and check everything before use.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.core.console import info
from toolkit.core.errors import DataError
from toolkit.core.files import atomic_folder
from toolkit.core.locking import locked
from toolkit.core.pickles import read_plain
from toolkit.data.formats.archives import matlab_arrays, tar_members, unpacked
from toolkit.data.images import ArrayImages, FileImages, ImageSet

_CIFAR_BATCH = 200_000_000
"""Maximum bytes of a batch; the training batch of CIFAR-100 has 155 million."""
_CIFAR_ARCHIVE = 400_000_000
_CIFAR_IMAGES = 50_000
_MNIST_IMAGES = 60_000
_FLOWER = 20_000_000
_FLOWER_ARCHIVE = 2_000_000_000
_FLOWER_IMAGES = 8189


def read_cifar(files: Mapping[str, Path], batches: str, classes: int, name: str) -> ImageSet:
    """Read images and labels from the batches of a CIFAR archive, in the order of their names.

    Args:
        files: The archive, as ``data_file``.
        batches: Regular expression for the names of the batches.
        classes: Number of classes.
        name: Name of the set.

    Raises:
        ValueError: The archive has no such batch, or does not follow the format.
        RefusedPickleError: A batch would execute code; nothing was executed.
        BadPickleError, OSError, EOFError, zlib.error: The archive is damaged or cannot be read.
    """
    found = {}
    wanted = rf"(?:[^/]+/)*({batches})"
    for member in tar_members(files["data_file"], wanted, largest=_CIFAR_BATCH, most=_CIFAR_ARCHIVE):
        batch = read_plain(io.BytesIO(member.read()), member.size)
        found[member.found[1]] = _cifar_batch(batch, classes, member.name)
    if not found:
        raise ValueError(f"it has no file {batches}")
    rows, labels = (np.concatenate([found[key][split] for key in sorted(found)]) for split in (0, 1))
    pixels = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return ArrayImages(pixels, labels, name)


def _cifar_batch(batch: Any, classes: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(batch, dict):
        raise ValueError(f"{name} holds no batch")
    values = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    rows, labels = values.get("data"), values.get("labels", values.get("fine_labels"))
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (3 * 32 * 32,):
        raise ValueError(f"{name}: expected images of 3072 bytes")
    if not isinstance(labels, (list, np.ndarray)) or len(labels) != len(rows) or len(rows) > _CIFAR_IMAGES:
        raise ValueError(f"{name}: expected a label for each of at most {_CIFAR_IMAGES:,} images")
    return rows, _checked_labels(labels, classes, name)


def read_mnist(files: Mapping[str, Path], split: str, classes: int, name: str) -> ImageSet:
    """Read images and labels from the two files of MNIST.

    Args:
        files: Images as ``image_path``, labels as ``label_path``.
        split: Not used: each split has its own files.
        classes: Number of classes.
        name: Name of the set.

    Raises:
        ValueError, OSError, EOFError, zlib.error: A file is damaged, cannot be read, or does not follow the format.
    """
    pixels = _idx(files["image_path"], 2051, (28, 28))
    labels = _idx(files["label_path"], 2049, ())
    if len(pixels) != len(labels):
        raise ValueError(f"{len(pixels)} images, but {len(labels)} labels")
    return ArrayImages(pixels, _checked_labels(labels, classes, files["label_path"].name), name)


def _idx(path: Path, magic: int, shape: tuple[int, ...]) -> np.ndarray:
    """Read an IDX file (Y. LeCun, "The MNIST database of handwritten digits") as bytes ``[N, *shape]``."""
    size = int(np.prod(shape))
    with unpacked(path, 16 + _MNIST_IMAGES * size) as file:
        found, count, *sizes = struct.unpack(f">{2 + len(shape)}I", file.read(8 + 4 * len(shape)))
        if (found, *sizes) != (magic, *shape) or count > _MNIST_IMAGES:
            raise ValueError(f"{path.name}: expected at most {_MNIST_IMAGES:,} items of shape {shape}")
        data = np.frombuffer(file.read(count * size), np.uint8).reshape(count, *shape)
        if not file.is_over():
            raise ValueError(f"{path.name} has more than the {count:,} items that it declares")
    return data


def read_flowers(files: Mapping[str, Path], split: str, classes: int, name: str) -> ImageSet:
    """Read images and labels of Flowers-102; the archive is unpacked once, next to itself.

    Args:
        files: The archive as ``data_file``, labels as ``label_file``, the three splits as ``setid_file``.
        split: Name of the split in ``setid_file``.
        classes: Number of classes.
        name: Name of the set.

    Raises:
        DataError: Images are missing.
        ValueError, OSError, EOFError, zlib.error: A file is damaged, cannot be read, or does not follow the format.
    """
    labels = _checked_labels(matlab_arrays(files["label_file"])["labels"], classes + 1, "labels")
    numbers = _checked_labels(matlab_arrays(files["setid_file"])[split], len(labels) + 1, split)
    if min(labels, default=1) < 1 or min(numbers, default=1) < 1:
        raise ValueError("a label or an image number is 0: they start at 1")
    folder = _unpacked_flowers(files["data_file"])
    paths = [folder / f"image_{number:05}.jpg" for number in numbers]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{folder} lacks {len(missing)} of {len(paths)} images, such as {missing[0]}",
            hint="remove that folder to have the archive unpacked again",
        )
    return FileImages(paths, labels[numbers - 1] - 1)


def _unpacked_flowers(archive: Path) -> Path:
    """Return the folder of the images, named as Paddle does."""
    folder = archive.with_suffix("") / "jpg"
    if folder.is_dir():
        return folder
    with locked(archive.with_name(f".{archive.stem}.lock"), f"another process unpacks {archive}; waiting for it"):
        if not folder.is_dir():
            info(f"unpacking {archive} into {folder}")
            wanted = r"jpg/(image_\d{5}\.jpg)"
            with atomic_folder(folder) as temporary:
                for count, member in enumerate(
                    tar_members(archive, wanted, largest=_FLOWER, most=_FLOWER_ARCHIVE), start=1
                ):
                    if count > _FLOWER_IMAGES:
                        raise ValueError(f"it has more than {_FLOWER_IMAGES:,} images")
                    (temporary / member.found[1]).write_bytes(member.read())
    return folder


def _checked_labels(labels: Any, classes: int, name: str) -> np.ndarray:
    """Return class indices, int64 ``[N]``, after checking that each is below ``classes``."""
    if not isinstance(labels, np.ndarray) and not all(isinstance(label, (int, np.ndarray)) for label in labels):
        raise ValueError(f"{name}: expected whole numbers")  # before NumPy pads every text to the length of the longest
    found = np.asarray(labels)
    whole = found.dtype.kind in "iu" or (found.dtype.kind == "f" and bool((found == np.round(found)).all()))
    if found.ndim != 1 or not (whole or not len(found)):
        raise ValueError(f"{name}: expected whole numbers")
    if len(found) and not 0 <= found.min() <= found.max() < classes:
        raise ValueError(f"{name}: expected numbers below {classes}, found {found.min()} to {found.max()}")
    return found.astype(np.int64)
