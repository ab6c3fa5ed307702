"""CIFAR-10/100, MNIST, Fashion-MNIST and Flowers-102, as downloaded by Paddle.

The archives are expected in ``data.root`` if it is set; otherwise Paddle downloads them once to its cache
(``~/.cache/paddle/dataset``). Paddle's download has no timeout, so the host is probed first. ``paddle_archives`` reads
them, because Paddle's own readers execute code in them.
"""

from __future__ import annotations

import socket
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import getproxies

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.core.pickles import BadPickleError, RefusedPickleError, shortened
from toolkit.data import class_names
from toolkit.data.formats.paddle_archives import read_cifar, read_flowers, read_mnist
from toolkit.data.formats.paths import required_folder
from toolkit.data.images import ImageSet
from toolkit.data.source import Source

_PATIENCE = 10.0  # seconds for the host to respond
_DAMAGED = (OSError, EOFError, ValueError, LookupError, TypeError, BadPickleError, zlib.error, struct.error)


@dataclass(frozen=True)
class PaddleSet:
    """One of Paddle's data sets.

    Attributes:
        marks: For each split, the batches or the key in the archive.
        files: For each split, file name by reader argument.
        downloads: URL and MD5 of each file.
        cache: Folder below Paddle's data cache.
        host: Host from which Paddle downloads it.
        classes: Class names in label order.
        read: Makes an image set from the files, the split's mark, the number of classes and a name for the images.
    """

    marks: Mapping[str, str]
    files: Mapping[str, Mapping[str, str]]
    downloads: Mapping[str, tuple[str, str]]
    cache: str
    host: str
    classes: tuple[str, ...]
    read: Callable[[Mapping[str, Path], str, int, str], ImageSet]


def _mnist_files(prefix: str) -> dict[str, str]:
    return {"image_path": f"{prefix}-images-idx3-ubyte.gz", "label_path": f"{prefix}-labels-idx1-ubyte.gz"}


def _mnist_downloads(folder: str, *digests: str) -> dict[str, tuple[str, str]]:
    names = [*_mnist_files("train").values(), *_mnist_files("t10k").values()]
    return {name: (f"https://{_HOST}/{folder}/{name}", digest) for name, digest in zip(names, digests, strict=True)}


_HOST, _FLOWER_HOST = "dataset.bj.bcebos.com", "paddlemodels.bj.bcebos.com"
_CIFAR10_FILE, _CIFAR100_FILE = {"data_file": "cifar-10-python.tar.gz"}, {"data_file": "cifar-100-python.tar.gz"}
_FLOWER_FILES = {"data_file": "102flowers.tgz", "label_file": "imagelabels.mat", "setid_file": "setid.mat"}
_MNIST_PARTS = {"train": "train", "val": "t10k"}
_MNIST_FILES = {"train": _mnist_files("train"), "val": _mnist_files("t10k")}

PADDLE_SETS: Mapping[str, PaddleSet] = {
    "cifar10": PaddleSet(
        {"train": r"data_batch_\d+", "val": "test_batch"}, dict.fromkeys(("train", "val"), _CIFAR10_FILE),
        {"cifar-10-python.tar.gz":
         (f"https://{_HOST}/cifar/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a")},
        "cifar", _HOST, class_names.CIFAR10, read_cifar,
    ),
    "cifar100": PaddleSet(
        {"train": "train", "val": "test"}, dict.fromkeys(("train", "val"), _CIFAR100_FILE),
        {"cifar-100-python.tar.gz":
         (f"https://{_HOST}/cifar/cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85")},
        "cifar", _HOST, class_names.CIFAR100, read_cifar,
    ),
    "mnist": PaddleSet(
        _MNIST_PARTS, _MNIST_FILES,
        _mnist_downloads(
            "mnist", "f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        "mnist", _HOST, class_names.TEN_DIGITS, read_mnist,
    ),
    "fashion_mnist": PaddleSet(
        _MNIST_PARTS, _MNIST_FILES,
        _mnist_downloads(
            "fashion_mnist", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        "fashion-mnist", _HOST, class_names.FASHION, read_mnist,
    ),
    # Paddle swaps training (1020) and test (6149) of this set; here they are as its authors defined them.
    "flowers102": PaddleSet(
        {"train": "trnid", "val": "valid", "test": "tstid"}, dict.fromkeys(("train", "val", "test"), _FLOWER_FILES),
        {
            "102flowers.tgz": (f"http://{_FLOWER_HOST}/flowers/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
            "imagelabels.mat": (f"http://{_FLOWER_HOST}/flowers/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
            "setid.mat": (f"http://{_FLOWER_HOST}/flowers/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
        },
        "flowers", _FLOWER_HOST, class_names.FLOWERS, read_flowers,
    ),
}  # fmt: skip


def read_paddle_set(config: DataConfig) -> Source:
    """Read one of ``PADDLE_SETS``; if a set has only two splits, the official test images are ``val``.

    Args:
        config: ``format`` and ``root`` are used.

    Returns:
        The images by split.

    Raises:
        DataError: An archive is damaged, or is missing and cannot be downloaded; the message names it.
    """
    facts = PADDLE_SETS[config.format]
    splits = {}
    for split, mark in facts.marks.items():
        names = facts.files[split]
        if config.root is None:
            files = _downloaded(config.format, facts, names)
        else:
            files = _local(required_folder(config, config.format), names)
        try:
            splits[split] = facts.read(files, mark, len(facts.classes), f"{config.format}/{split}")
        except RefusedPickleError as error:
            raise DataError(
                f"{config.format}: {listed(list(map(str, files.values())))} was refused: it asks for {error}, which "
                "images never need",
                hint=f"the file may be harmful; nothing in it was run; get it from {facts.host}",
            ) from None
        except _DAMAGED as error:
            text = shortened(str(error)) or type(error).__name__
            raise DataError(
                f"{config.format}: cannot read {listed(list(map(str, files.values())))}: {text}",
                hint="replace the damaged file",
            ) from error
    return Source(facts.classes, splits)


def _local(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    missing = [file for file in files.values() if not (root / file).is_file()]
    if missing:
        raise DataError(
            f"data.root {root} has no {listed(missing)}",
            hint="put the file there as it was downloaded, or leave data.root out to let Paddle download it",
        )
    return {argument: root / file for argument, file in files.items()}


def _downloaded(name: str, facts: PaddleSet, files: Mapping[str, str]) -> dict[str, Path]:
    from paddle.dataset import common  # only these formats need Paddle

    _refuse_when_offline(facts, files)
    try:
        return {
            argument: Path(common.download(facts.downloads[file][0], facts.cache, facts.downloads[file][1]))
            for argument, file in files.items()
        }
    except RuntimeError as error:
        raise DataError(f"{name}: {error}", hint=_download_hint(facts, files)) from error


def _refuse_when_offline(facts: PaddleSet, files: Mapping[str, str]) -> None:
    """Check that the host responds; Paddle would wait for it forever."""
    from paddle.dataset.common import DATA_HOME

    cached = [(Path(DATA_HOME) / facts.cache / file).is_file() for file in files.values()]
    if all(cached) or getproxies():
        return
    try:
        socket.create_connection((facts.host, 443), timeout=_PATIENCE).close()
    except OSError as error:
        raise DataError(
            f"cannot reach {facts.host} to download {listed(list(files.values()))}: {error}",
            hint=_download_hint(facts, files),
        ) from error


def _download_hint(facts: PaddleSet, files: Mapping[str, str]) -> str:
    names = listed(list(files.values()))
    return f"put {names} into ~/.cache/paddle/dataset/{facts.cache}/, or into a folder and name it in data.root"
