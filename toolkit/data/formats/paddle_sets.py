"""CIFAR-10/100, MNIST, Fashion-MNIST and Flowers-102 through ``paddle.vision.datasets``.

The archives are looked for in ``data.root`` when it is set; otherwise Paddle downloads them once into its cache
(``~/.cache/paddle/dataset``). Paddle's download has no time limit, so the host is tried first.
"""

from __future__ import annotations

import pickle
import socket
import struct
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import getproxies

import numpy as np

from toolkit.config import DataConfig
from toolkit.data import class_names
from toolkit.data.formats.paths import required_folder
from toolkit.data.images import ArrayImages, FileImages, ImageSet
from toolkit.data.naming import listed
from toolkit.data.source import Source
from toolkit.errors import DataError

__all__ = ["PADDLE_SETS", "PaddleSet", "read_paddle_set"]

_PATIENCE = 10.0  # seconds for the host to answer
_DAMAGED = (
    OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AssertionError,
    tarfile.TarError, zlib.error, struct.error, pickle.UnpicklingError,
)  # fmt: skip


@dataclass(frozen=True)
class PaddleSet:
    """One of Paddle's data sets.

    Attributes:
        factory: Name of its class in ``paddle.vision.datasets``.
        modes: Paddle's mode by part.
        files: For each mode, file name by argument of the factory.
        cache: Its folder below Paddle's data cache.
        host: Where Paddle downloads it from.
        classes: Class names in label order.
        convert: Makes an image set of Paddle's object; the second argument is a name for the pictures.
    """

    factory: str
    modes: Mapping[str, str]
    files: Mapping[str, Mapping[str, str]]
    cache: str
    host: str
    classes: tuple[str, ...]
    convert: Callable[[Any, str], ImageSet]


def _cifar_images(dataset: Any, name: str) -> ImageSet:
    rows = np.stack([row for row, _ in dataset.data]).astype(np.uint8)
    pixels = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    return ArrayImages(pixels, [label for _, label in dataset.data], name)


def _mnist_images(dataset: Any, name: str) -> ImageSet:
    pixels = np.stack(dataset.images).astype(np.uint8).reshape(-1, 28, 28)
    return ArrayImages(pixels, np.concatenate(dataset.labels), name)


def _flowers_images(dataset: Any, name: str) -> ImageSet:
    numbers = np.asarray(dataset.indexes, np.int64)
    paths = [Path(dataset.data_path) / "jpg" / f"image_{number:05}.jpg" for number in numbers]
    return FileImages(paths, np.asarray(dataset.labels, np.int64)[numbers - 1] - 1)


def _mnist_files(prefix: str) -> dict[str, str]:
    return {"image_path": f"{prefix}-images-idx3-ubyte.gz", "label_path": f"{prefix}-labels-idx1-ubyte.gz"}


_TWO_PARTS = {"train": "train", "val": "test"}
_CIFAR10_FILE, _CIFAR100_FILE = {"data_file": "cifar-10-python.tar.gz"}, {"data_file": "cifar-100-python.tar.gz"}
_FLOWER_FILES = {"data_file": "102flowers.tgz", "label_file": "imagelabels.mat", "setid_file": "setid.mat"}
_MNIST_FILES = {"train": _mnist_files("train"), "test": _mnist_files("t10k")}
_HOST, _FLOWER_HOST = "dataset.bj.bcebos.com", "paddlemodels.bj.bcebos.com"

PADDLE_SETS: Mapping[str, PaddleSet] = {
    "cifar10": PaddleSet(
        "Cifar10", _TWO_PARTS, dict.fromkeys(("train", "test"), _CIFAR10_FILE), "cifar", _HOST, class_names.CIFAR10,
        _cifar_images,
    ),
    "cifar100": PaddleSet(
        "Cifar100", _TWO_PARTS, dict.fromkeys(("train", "test"), _CIFAR100_FILE), "cifar", _HOST, class_names.CIFAR100,
        _cifar_images,
    ),
    "mnist": PaddleSet("MNIST", _TWO_PARTS, _MNIST_FILES, "mnist", _HOST, class_names.TEN_DIGITS, _mnist_images),
    "fashion_mnist": PaddleSet(
        "FashionMNIST", _TWO_PARTS, _MNIST_FILES, "fashion-mnist", _HOST, class_names.FASHION, _mnist_images
    ),
    # Paddle swaps training (1020) and test (6149) of this set; here they are as its owners made them.
    "flowers102": PaddleSet(
        "Flowers", {"train": "test", "val": "valid", "test": "train"},
        dict.fromkeys(("train", "valid", "test"), _FLOWER_FILES), "flowers", _FLOWER_HOST, class_names.FLOWERS,
        _flowers_images,
    ),
}  # fmt: skip


def read_paddle_set(config: DataConfig) -> Source:
    """Read one of ``PADDLE_SETS``; the official test images are ``val`` where a set has two parts only.

    Args:
        config: ``format`` and ``root`` count.

    Returns:
        The pictures by part.

    Raises:
        DataError: An archive is missing and cannot be downloaded, or is damaged; the message names it.
    """
    facts = PADDLE_SETS[config.format]
    parts = {}
    for part, mode in facts.modes.items():
        files = facts.files[mode]
        arguments = {} if config.root is None else _local(required_folder(config, config.format), files)
        if not arguments:
            _refuse_when_offline(facts, files)
        dataset = _load(config.format, facts, mode, arguments)
        parts[part] = facts.convert(dataset, f"{config.format}/{part}")
    return Source(facts.classes, parts)


def _local(root: Path, files: Mapping[str, str]) -> dict[str, str]:
    missing = [file for file in files.values() if not (root / file).is_file()]
    if missing:
        raise DataError(
            f"data.root {root} has no {listed(missing)}",
            hint="put the file there as it was downloaded, or leave data.root out to let Paddle download it",
        )
    return {argument: str(root / file) for argument, file in files.items()}


def _load(name: str, facts: PaddleSet, mode: str, arguments: Mapping[str, str]) -> Any:
    from paddle.vision import datasets  # only these formats need Paddle

    try:
        return getattr(datasets, facts.factory)(mode=mode, backend="cv2", **arguments)
    except ImportError as error:
        raise DataError(f"data.format {name} needs a package: {error}", hint="pip install scipy") from error
    except RuntimeError as error:
        raise DataError(f"{name}: {error}", hint=_cure(facts, facts.files[mode])) from error
    except _DAMAGED as error:
        files = listed(list(arguments.values()) or list(facts.files[mode].values()))
        text = str(error) or type(error).__name__
        raise DataError(f"{name}: cannot read {files}: {text}", hint="replace the damaged file") from error


def _refuse_when_offline(facts: PaddleSet, files: Mapping[str, str]) -> None:
    """Paddle would wait without limit for a host that does not answer."""
    from paddle.dataset.common import DATA_HOME

    cached = [(Path(DATA_HOME) / facts.cache / file).is_file() for file in files.values()]
    if all(cached) or getproxies():
        return
    try:
        socket.create_connection((facts.host, 443), timeout=_PATIENCE).close()
    except OSError as error:
        raise DataError(
            f"cannot reach {facts.host} to download {listed(list(files.values()))}: {error}", hint=_cure(facts, files)
        ) from error


def _cure(facts: PaddleSet, files: Mapping[str, str]) -> str:
    names = listed(list(files.values()))
    return f"put {names} into ~/.cache/paddle/dataset/{facts.cache}/, or into a folder and name it in data.root"
