from __future__ import annotations

import gzip
import importlib
import inspect
import io
import os
import pickle
import socket
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.core.pickles import read_plain
from toolkit.data import DataBundle, build_data
from toolkit.data.formats.archives import matlab_arrays
from toolkit.data.formats.paddle_sets import PADDLE_SETS, read_paddle_set
from toolkit.data.formats.registry import FORMATS


def build(name: str, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"format": name, **values}))


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def cifar_pixels(classes: int, copies: int) -> tuple[Any, list[int]]:
    """Red holds the class, green the number of the image, blue 9."""
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
    assert {part: len(images) for part, images in data.splits.items()} == {"train": 3 * count, "val": 2 * count}
    assert {number: data.classes[number] for number in some_classes} == some_classes
    image = data.train.read(count + 1)
    assert image.shape == (32, 32, 3)
    assert image[0, 0].tolist() == [1, (count + 1) % 251, 9] == image[20, 4].tolist()
    assert image[4, 20].tolist() == [1, (count + 1) % 251, 77]
    assert data.train.labels[count + 1] == 1
    assert data.val.path(3) == f"{name}/val/{3:04d}"
    assert (data.crop_ratio, data.flip, data.content) == (1.0, "horizontal", "tiny")


def python_2_batch(rows: np.ndarray, labels: list[int], key: str) -> bytes:
    """A batch as the official archives have it: written by Python 2 with protocol 2."""

    def text(words: bytes) -> bytes:
        return b"U" + bytes([len(words)]) + words

    shape = b"J" + len(rows).to_bytes(4, "little") + b"M" + rows.shape[1].to_bytes(2, "little") + b"\x86"
    data = rows.tobytes()
    return b"".join(
        [
            b"\x80\x02}q\x01(" + text(b"batch_label") + text(b"training batch 1 of 5") + b"q\x02" + text(key.encode()),
            b"]q\x03(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e" + text(b"data"),
            b"cnumpy.core.multiarray\n_reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85U\x01b\x87R(K\x01" + shape,
            b"cnumpy\ndtype\nq\x0a" + text(b"u1") + b"K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff",
            b"K\x00tb\x89T" + len(data).to_bytes(4, "little") + data + b"tb",
            text(b"filenames") + b"](" + text(b"camion_s_000148.png") * len(labels) + b"eu.",
        ]
    )


@pytest.mark.parametrize(("name", "key"), [("cifar10", "labels"), ("cifar100", "fine_labels")])
def test_batches_of_python_2(tmp_path: Path, name: str, key: str) -> None:
    """Folders and foreign files are ignored; batches come in the order of their names."""
    batches = {"cifar10": ("data_batch_2", "data_batch_1", "test_batch"), "cifar100": ("train", "test")}[name]
    rows = np.arange(5 * 3072, dtype=np.uint32).reshape(5, 3072).astype(np.uint8)
    with tarfile.open(tmp_path / f"cifar-{name[5:]}-python.tar.gz", "w:gz", format=tarfile.GNU_FORMAT) as archive:
        folder = tarfile.TarInfo("cifar-batches-py")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        add(archive, "cifar-batches-py/batches.meta", b"not read")
        add(archive, "cifar-batches-py/" + "long" * 50, b"not read")
        for number, batch in enumerate(batches):
            add(archive, f"cifar-batches-py/{batch}", python_2_batch(rows + number, [number, 1, 2, 3, 4], key))
    parts = read_paddle_set(DataConfig.model_validate({"format": name, "root": tmp_path})).splits
    assert parts["train"].labels.tolist() == ([1, 1, 2, 3, 4, 0, 1, 2, 3, 4] if name == "cifar10" else [0, 1, 2, 3, 4])
    first = rows[0] + (name == "cifar10")
    np.testing.assert_array_equal(parts["train"].read(0), first.reshape(3, 32, 32).transpose(1, 2, 0))
    assert parts["val"].labels[0] == len(batches) - 1


def test_a_batch_as_large_as_that_of_cifar100_is_read() -> None:
    """As large as the original: 50,000 images with their file names and two labels each."""
    count = 50_000
    rows, labels = np.zeros((count, 3072), np.uint8), [7] * count
    names = [f"name_s_{i:06d}.png" for i in range(count)]
    data = pickle.dumps(
        {"filenames": names, "fine_labels": labels, "coarse_labels": labels[:], "data": rows}, protocol=2
    )
    found = read_plain(io.BytesIO(data), len(data))
    assert (found["data"].shape, len(found["filenames"])) == (rows.shape, count)


def batch_of(**changes: Any) -> bytes:
    rows, labels = cifar_pixels(10, 1)
    return pickle.dumps({b"data": rows, b"labels": labels, **{key.encode(): value for key, value in changes.items()}})


class Runs:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_batch_that_runs_a_command_is_refused_and_nothing_runs(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    evil = batch_of(extra=Runs(f"touch {victim}"))
    batch = {"cifar10": "data_batch_1", "cifar100": "train"}[name]
    with tarfile.open(tmp_path / f"cifar-{name[5:]}-python.tar.gz", "w:gz") as archive:
        add(archive, f"cifar/{batch}", evil)
    with pytest.raises(DataError, match=r"tar\.gz was refused: it asks for \w+\.system.*nothing in it was run"):
        build(name, root=tmp_path)
    assert not victim.exists()
    pickle.loads(evil)
    assert victim.exists(), "the batch would have run the command"


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def member(name: str, data: bytes = b"", **facts: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for key, value in {"size": len(data), **facts}.items():
        setattr(info, key, value)
    return info, data


def claiming(size: int) -> bytes:
    """An archive whose file is shorter than declared."""
    info = tarfile.TarInfo("a/data_batch_1")
    info.size = size
    return info.tobuf() + b"abc"


BATCH = batch_of()
BAD_CIFARS = {
    "the wrong shape": (tar_of(member("a/data_batch_1", batch_of(data=np.zeros((10, 3071), np.uint8)))), "3072 bytes"),
    "other numbers": (tar_of(member("a/data_batch_1", batch_of(data=np.zeros((10, 3072))))), "3072 bytes"),
    "no picture": (tar_of(member("a/data_batch_1", pickle.dumps({b"labels": []}))), "3072 bytes"),
    "no batch": (tar_of(member("a/data_batch_1", pickle.dumps([1]))), "holds no batch"),
    "too few labels": (tar_of(member("a/data_batch_1", batch_of(labels=[1]))), "a label for each"),
    "another class": (tar_of(member("a/data_batch_1", batch_of(labels=[10] * 10))), "below 10, found 10 to 10"),
    "a class below 0": (tar_of(member("a/data_batch_1", batch_of(labels=[-1] * 10))), "found -1"),
    "labels of text": (tar_of(member("a/data_batch_1", batch_of(labels=["x" * 10**6] + [""] * 9))), "whole numbers"),
    "half a label": (tar_of(member("a/data_batch_1", batch_of(labels=np.full(10, 0.5)))), "whole numbers"),
    "no batches": (tar_of(member("a/data", BATCH)), "no file data_batch"),
    "a batch twice": (tar_of(member("a/data_batch_1", BATCH), member("a/data_batch_1", BATCH)), "occurs twice"),
    "a link": (tar_of(member("a/data_batch_1", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "is a link"),
    "a hard link": (tar_of(member("a/data_batch_1", type=tarfile.LNKTYPE, linkname="/etc/passwd")), "is a link"),
    "a device": (tar_of(member("a/data_batch_1", type=tarfile.CHRTYPE, devmajor=1, devminor=5)), "a device"),
    "a pipe": (tar_of(member("a/data_batch_1", type=tarfile.FIFOTYPE)), "something other than a file"),
    "a sparse file": (tar_of(member("a/data_batch_1", type=tarfile.GNUTYPE_SPARSE)), "something other than a file"),
    "a large file": (claiming(250_000_000), "larger than 200,000,000"),
    "a cut file": (claiming(150_000_000), "cut short"),
    "doubling lists": (
        tar_of(member("a/data_batch_1",
            b"]q\x00" + b"".join(b"0(h%ch%clq%c" % (i, i, i + 1) for i in range(40)) + b".")), "again and again",
    ),
    "no tar": (b"hello" * 1000, "not a tar archive"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CIFARS)
def test_bad_cifar_archives_are_one_clear_line(tmp_path: Path, case: str) -> None:
    content, says = BAD_CIFARS[case]
    for packed in (content, gzip.compress(content)):
        (tmp_path / "cifar-10-python.tar.gz").write_bytes(packed)
        tracemalloc.start()
        with pytest.raises(DataError, match=says) as caught:
            build("cifar10", root=tmp_path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert caught.value.message.isprintable()
        assert peak < 20 * len(content) + 5 * 2**20


def bomb(head: bytes, size: int) -> bytes:
    """Gzip of some bytes followed by zeros."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(
        [packer.compress(head), *(packer.compress(bytes(2**20)) for _ in range(size >> 20)), packer.flush()]
    )


@pytest.mark.slow
def test_gzip_bombs_are_not_unpacked(tmp_path: Path) -> None:
    header = tarfile.TarInfo("a/other")
    header.size = 2**32
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(bomb(header.tobuf(), 2**29))
    make_mnist(tmp_path)
    images = bomb(struct.pack(">IIII", 2051, 60_000, 28, 28), 2**28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(images)
    for name, says in (("cifar10", "unpacks to more than 400,000,000"), ("mnist", "more than the 60,000 items")):
        tracemalloc.start()
        with pytest.raises(DataError, match=says):
            build(name, root=tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 150 * 2**20
        tracemalloc.stop()


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
    assert {part: len(images) for part, images in data.splits.items()} == {"train": 200, "val": 100}
    assert data.classes[2] == third
    assert data.flip == flip
    image = data.train.read(17)
    assert image.shape == (28, 28, 3)
    assert set(image.ravel().tolist()) == {7}
    assert data.train.labels[17] == 7


def matrix(name: str, values: np.ndarray, claimed: int | None = None, **facts: int) -> bytes:
    """An array in a MATLAB file, as ``matrix`` of Octave or scipy writes it."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    code = {"uint8": 2, "uint16": 4, "float64": 9}[values.dtype.name]
    flags = element(6, struct.pack("<II", facts.get("cls", 9), 0))
    sizes = element(5, struct.pack("<ii", 1, len(values) if claimed is None else claimed))
    short = (
        struct.pack("<HH", 1, len(name)) + name.encode().ljust(4, b"\0")
        if len(name) <= 4
        else element(1, name.encode())
    )
    return element(14, flags + sizes + short + element(code, values.tobytes()))


def matlab(*matrices: bytes, packed: bool = True) -> bytes:
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"
    parts = [zlib.compress(each) if packed else each for each in matrices]
    return head + b"".join(struct.pack("<II", 15, len(part)) + part if packed else part for part in parts)


def make_flowers(root: Path, jpeg: bytes, *others: tuple[tarfile.TarInfo, bytes]) -> None:
    """Three images of each class, one for each split, after other members."""
    count = 3 * 102
    pictures = [member(f"jpg/image_{i:05d}.jpg", jpeg) for i in range(1, count + 1)]
    (root / "102flowers.tgz").write_bytes(
        gzip.compress(tar_of(member("jpg", type=tarfile.DIRTYPE), *others, *pictures))
    )
    (root / "imagelabels.mat").write_bytes(matlab(matrix("labels", (np.arange(count) % 102 + 1).astype("uint8"))))
    ids = np.arange(1, count + 1, dtype="uint16").reshape(3, 102)
    (root / "setid.mat").write_bytes(matlab(matrix("trnid", ids[0]), matrix("valid", ids[1]), matrix("tstid", ids[2])))


@pytest.fixture
def jpeg(tmp_path: Path, picture: Callable[..., Any], save: Callable[[Path, Any], Path]) -> bytes:
    return save(tmp_path / "made" / "picture.jpg", picture(3, 16, 16)).read_bytes()


def check_flowers(root: Path) -> None:
    data = read_paddle_set(DataConfig.model_validate({"format": "flowers102", "root": root}))
    assert {part: len(images) for part, images in data.splits.items()} == {"train": 102, "val": 102, "test": 102}
    assert data.splits["train"].path(0).endswith("102flowers/jpg/image_00001.jpg")
    assert data.splits["test"].path(101).endswith("image_00306.jpg")
    assert (data.splits["train"].labels[0], data.classes[0]) == (0, "pink primrose")
    assert (data.splits["test"].labels[101], data.classes[101]) == (101, "blackberry lily")
    assert data.splits["val"].read(5).shape == (16, 16, 3)


def test_flowers_are_split_as_their_owners_made_it(tmp_path: Path, jpeg: bytes) -> None:
    make_flowers(tmp_path, jpeg)
    check_flowers(tmp_path)
    (tmp_path / "102flowers.tgz").write_bytes(b"not needed any more")
    check_flowers(tmp_path)
    (tmp_path / "102flowers/jpg/image_00102.jpg").unlink()
    with pytest.raises(DataError, match=r"jpg lacks 1 of 102 images, such as image_00102.jpg.*remove that folder"):
        build("flowers102", root=tmp_path)


@pytest.mark.parametrize("packed", [True, False])
def test_matlab_files_of_scipy(tmp_path: Path, packed: bool) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    values = {"labels": [np.arange(200, dtype=np.uint8)], "ab": [np.arange(3.0)], "large": [[1, 70_000]]}
    scipy_io.savemat(tmp_path / "a.mat", values, do_compression=packed)
    found = matlab_arrays(tmp_path / "a.mat")
    assert {name: array.tolist() for name, array in found.items()} == {
        "labels": list(range(200)), "ab": [0, 1, 2], "large": [1, 70_000],
    }  # fmt: skip
    for value in ({"a": 1}, "text", np.array([1j]), np.array([[1, "a"]], object)):
        scipy_io.savemat(tmp_path / "b.mat", {"labels": value}, do_compression=packed)
        with pytest.raises(ValueError, match="array of real numbers"):
            matlab_arrays(tmp_path / "b.mat")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a MATLAB file"),
        (b"\x89HDF\r\n" + bytes(600), "not a MATLAB file of version 5"),
        (matlab(matrix("labels", np.zeros(3, "uint8"), claimed=2**31 - 1)), "differ"),
        (matlab(matrix("labels", np.zeros(3, "uint8"), cls=1)), "array of real numbers"),
        (matlab(struct.pack("<II", 14, 2**31)), "cut short"),
        (matlab(struct.pack("<II", 14, 2**31), packed=False), "cut short"),
        (matlab(bytes(2**24)), "unpacks to more than"),
        (bytes(2**21), "more than 1,048,576 bytes"),
        (matlab(matrix("labels", np.zeros(306, "uint8"))), "start at 1"),
        (matlab(matrix("labels", np.full(306, 103, "uint8"))), "below 103"),
        (matlab(matrix("labels", np.ones(9, "uint8"))), "below 10, found 1 to 102"),
        (matlab(matrix("labels", np.full(306, 1.5))), "whole numbers"),
        (matlab(matrix("others", np.ones(306, "uint8"))), "labels"),
        (matlab(matrix("labels", np.ones(306, "uint8")))[:-9], "cut short|cannot read"),
    ],
)
def test_bad_matlab_files_are_one_clear_line(tmp_path: Path, jpeg: bytes, content: bytes, says: str) -> None:
    make_flowers(tmp_path, jpeg)
    (tmp_path / "imagelabels.mat").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match=says):
        build("flowers102", root=tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 10 * 2**20
    tracemalloc.stop()


def test_an_archive_does_not_choose_where_files_go(tmp_path: Path, jpeg: bytes) -> None:
    others = [
        member("../outside.jpg", b"x"),
        member("/tmp/outside.jpg", b"x"),
        member("jpg/../../outside.jpg", b"x"),
        member("jpg/image_00001.jpg/../outside.jpg", b"x"),
        member("jpg/link", type=tarfile.SYMTYPE, linkname="../.."),
        member("jpg/device", type=tarfile.CHRTYPE),
        member("102flowers", type=tarfile.SYMTYPE, linkname="/tmp"),
    ]
    (root := tmp_path / "in" / "root").mkdir(parents=True)
    make_flowers(root, jpeg, *others)
    check_flowers(root)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.suffix != ".jpg"}
    top = {"in", "in/root", "made", "in/root/102flowers", "in/root/102flowers/jpg", "in/root/.102flowers.lock"}
    assert names == top | {f"in/root/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")}
    assert not list(tmp_path.rglob("outside*"))
    assert len(list((root / "102flowers/jpg").iterdir())) == 306


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (member("jpg/image_00001.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
        (member("jpg/image_00001.jpg", b"x"), "occurs twice"),
        (member("jpg/image_00400.jpg", bytes(20_000_001)), "larger than 20,000,000"),
    ],
)
def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path, jpeg: bytes, other: Any, says: str) -> None:
    make_flowers(tmp_path, jpeg, other)
    with pytest.raises(DataError, match=says):
        build("flowers102", root=tmp_path)
    assert not list((tmp_path / "102flowers").iterdir())


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
def test_offline_names_the_file_and_its_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr("paddle.dataset.common.DATA_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(DataError, match=r"Network is unreachable.*put .*(gz|mat) into .*or into a folder"):
        build(name)


def test_a_failed_download_names_the_file_and_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, *_: object) -> None:
        raise RuntimeError(f"Cannot download {url} within retry limit 3")

    monkeypatch.setattr("paddle.dataset.common.download", fail)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz within .*put cifar-10-python.tar.gz into ~/.cache"):
        build("cifar10")


def test_what_paddle_downloads_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_mnist(tmp_path)
    asked = set()

    def download(url: str, folder: str, digest: str) -> str:
        asked.add((url, folder, digest))
        return str(tmp_path / url.rpartition("/")[2])

    monkeypatch.setattr("paddle.dataset.common.download", download)
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    assert len(build("fashion_mnist").train) == 200
    own = paddle.vision.datasets.FashionMNIST
    assert asked == {
        (getattr(own, f"{part}_{kind}_URL"), "fashion-mnist", getattr(own, f"{part}_{kind}_MD5"))
        for part in ("TRAIN", "TEST")
        for kind in ("IMAGE", "LABEL")
    }


@pytest.mark.parametrize("name", list(PADDLE_SETS))
def test_downloads_are_those_of_paddle(name: str) -> None:
    own = [
        inspect.getsource(importlib.import_module(f"paddle.vision.datasets.{module}"))
        for module in ("cifar", "mnist", "flowers")
    ]
    for file, (url, digest) in PADDLE_SETS[name].downloads.items():
        assert any(digest in text and file in text and url.rpartition("/")[0] in text for text in own), file


def test_rows_are_complete() -> None:
    for name, row in PADDLE_SETS.items():
        assert name in FORMATS
        assert set(row.marks) == set(row.files)
        assert {file for files in row.files.values() for file in files.values()} == set(row.downloads)
    assert [len(PADDLE_SETS[name].classes) for name in ("cifar10", "cifar100", "flowers102")] == [10, 100, 102]
    assert all(len(set(row.classes)) == len(row.classes) for row in PADDLE_SETS.values())
