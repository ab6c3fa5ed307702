from __future__ import annotations

import gzip
import io
import pickle
import socket
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.data import DataBundle, build_data
from toolkit.data.facts import FORMATS
from toolkit.data.formats.paddle_sets import PADDLE_SETS
from toolkit.errors import DataError


def build(name: str, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"format": name, **values}))


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def cifar_pixels(classes: int, copies: int) -> tuple[Any, list[int]]:
    """Class number in every red value, its picture's number in green, 9 in blue."""
    labels = [i % classes for i in range(classes * copies)]
    rows = np.zeros((len(labels), 3, 32, 32), np.uint8)
    rows[:, 0] = np.array(labels)[:, None, None]
    rows[:, 1] = np.arange(len(labels))[:, None, None] % 251
    rows[:, 2] = 9
    rows[:, 2, 4, 20] = 77
    return rows.reshape(len(labels), -1), labels


def make_cifar(root: Path, name: str, classes: int, key: bytes, train: str, test: str) -> None:
    with tarfile.open(root / f"{name}.tar.gz", "w:gz") as archive:
        for member, copies in ((train, 3), (test, 2)):
            data, labels = cifar_pixels(classes, copies)
            add(archive, f"{name}/{member}", pickle.dumps({b"data": data, key: labels}))


@pytest.mark.parametrize(
    ("name", "arguments", "some_classes"),
    [
        ("cifar10", ("cifar-10-python", 10, b"labels", "data_batch_1", "test_batch"), {0: "airplane", 9: "truck"}),
        ("cifar100", ("cifar-100-python", 100, b"fine_labels", "train", "test"), {0: "apple", 99: "worm"}),
    ],
)
def test_cifar(tmp_path: Path, name: str, arguments: Any, some_classes: dict[int, str]) -> None:
    make_cifar(tmp_path, *arguments)
    data = build(name, root=tmp_path)
    count = arguments[1]
    assert {part: len(images) for part, images in data.parts.items()} == {"train": 3 * count, "val": 2 * count}
    assert {number: data.classes[number] for number in some_classes} == some_classes
    image = data.train.read(count + 1)
    assert image.shape == (32, 32, 3)
    assert image[0, 0].tolist() == [1, (count + 1) % 251, 9] == image[20, 4].tolist()
    assert image[4, 20].tolist() == [1, (count + 1) % 251, 77]
    assert data.train.labels[count + 1] == 1
    assert data.val.path(3) == f"{name}/val/{3:04d}"
    assert (data.crop_ratio, data.flip, data.content) == (1.0, "horizontal", "tiny")


def make_mnist(root: Path) -> None:
    for prefix, count in (("train", 200), ("t10k", 100)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = np.repeat(labels, 28 * 28).tobytes()
        images = gzip.compress(struct.pack(">IIII", 2051, count, 28, 28) + pixels)
        (root / f"{prefix}-images-idx3-ubyte.gz").write_bytes(images)
        (root / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">II", 2049, count) + labels.tobytes())
        )


@pytest.mark.parametrize(
    ("name", "third", "flip"), [("mnist", "2", "none"), ("fashion_mnist", "Pullover", "horizontal")]
)
def test_mnist(tmp_path: Path, name: str, third: str, flip: str) -> None:
    make_mnist(tmp_path)
    data = build(name, root=tmp_path)
    assert {part: len(images) for part, images in data.parts.items()} == {"train": 200, "val": 100}
    assert data.classes[2] == third
    assert data.flip == flip
    image = data.train.read(17)
    assert image.shape == (28, 28, 3)
    assert set(image.ravel().tolist()) == {7}
    assert data.train.labels[17] == 7


def test_flowers_are_split_as_their_owners_made_it(
    tmp_path: Path, picture: Callable[..., Any], save: Callable[[Path, Any], Path]
) -> None:
    io_module = pytest.importorskip("scipy.io")
    count = 3 * 102
    jpeg = [save(tmp_path / "made" / f"{i}.jpg", picture(i, 16, 16)).read_bytes() for i in range(count)]
    with tarfile.open(tmp_path / "102flowers.tgz", "w:gz") as archive:
        for i, data in enumerate(jpeg, 1):
            add(archive, f"jpg/image_{i:05d}.jpg", data)
    io_module.savemat(tmp_path / "imagelabels.mat", {"labels": [np.arange(count) % 102 + 1]})
    ids = np.arange(1, count + 1).reshape(3, 102)
    io_module.savemat(tmp_path / "setid.mat", {"trnid": [ids[0]], "valid": [ids[1]], "tstid": [ids[2]]})
    data = build("flowers102", root=tmp_path)
    assert {part: len(images) for part, images in data.parts.items()} == {"train": 102, "val": 102, "test": 102}
    assert data.train.path(0).endswith("image_00001.jpg")
    assert data.test is not None
    assert data.test.path(101).endswith("image_00306.jpg")
    assert (data.train.labels[0], data.classes[0]) == (0, "pink primrose")
    assert (data.test.labels[101], data.classes[101]) == (101, "blackberry lily")


@pytest.mark.parametrize("name", list(PADDLE_SETS))
def test_archives_that_are_not_in_root_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"has no .*\.(gz|tgz).*leave data.root out"):
        build(name, root=tmp_path)


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    make_cifar(tmp_path, "cifar-10-python", 10, b"labels", "data_batch_1", "test_batch")
    whole = (tmp_path / "cifar-10-python.tar.gz").read_bytes()
    make_mnist(tmp_path)
    for damaged in (whole[: len(whole) // 2], b"", b"<html>"):
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"cifar10: cannot read .*cifar-10-python.tar.gz"):
            build("cifar10", root=tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(b"\0\0"))
    with pytest.raises(DataError, match=r"mnist: cannot read .*train-images.*train-labels"):
        build("mnist", root=tmp_path)


@pytest.mark.parametrize("name", list(PADDLE_SETS))
def test_offline_says_which_file_to_put_where(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("paddle.dataset.common.DATA_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(DataError, match=r"Network is unreachable.*put .*(gz|mat) into .*or into a folder"):
        build(name)


def test_failed_download_says_which_file_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import paddle.vision.datasets

    def fail(**_: object) -> None:
        raise RuntimeError("Cannot download https://x/cifar-10-python.tar.gz within retry limit 3")

    monkeypatch.setattr(paddle.vision.datasets, "Cifar10", fail)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    with pytest.raises(DataError, match=r"within retry limit 3.*put cifar-10-python.tar.gz into ~/.cache/paddle"):
        build("cifar10")


def test_rows_are_complete() -> None:
    for name, row in PADDLE_SETS.items():
        assert name in FORMATS
        assert set(row.modes.values()) == set(row.files)
    assert [len(PADDLE_SETS[name].classes) for name in ("cifar10", "cifar100", "flowers102")] == [10, 100, 102]
    assert all(len(set(row.classes)) == len(row.classes) for row in PADDLE_SETS.values())
