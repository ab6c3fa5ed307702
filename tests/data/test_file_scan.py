"""Which files count as images, and what is reported as left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data.file_scan import FileNotes, images_below
from toolkit.data.formats import read_folder

MakeFolder = Callable[..., Path]

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
JPEG_2000 = b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)


def lines(said: str) -> dict[str, str]:
    """``why: names`` of each line."""
    return {line.split("(", 1)[1].split("): ")[0]: line for line in said.splitlines() if "): " in line}


def test_what_is_left_out_is_counted_and_named(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"cat": 8, "dog": 8, "far/x": 2, "far/y/z": 3, "docs": 0})
    shutil.move(root / "far", root.parent / "far")
    (root / "docs").rmdir()
    for number in range(4):
        (root / f"cat/00{number}.jpg").rename(root / f"cat/IMG_{number}.HEIC")
    (root / "dog/001.jpg").rename(root / "dog/IMG_1")
    (root / "dog/002.jpg").rename(root / "dog/2.jpg_large")
    (root / "dog/download").write_bytes(HEIC)
    (root / "dog/scan.JP2").write_bytes(JPEG_2000)
    (root / "dog/linked").symlink_to(root.parent / "far")
    shutil.copy(root / "dog/003.jpg", root / "loose.jpg")
    (root / "BMW\n.txt").write_bytes(b"BM is no bitmap")
    (root / "bird").symlink_to(root / "nowhere")
    source = read_folder(DataConfig(root=root))
    assert source.classes == ("cat", "dog")
    assert source.splits["train"].labels.tolist() == [0] * 4 + [1] * 7
    said = capsys.readouterr().err
    found = lines(said)
    assert len(found) == len(said.splitlines()) == 9
    for why, words in {
        ".heic is not supported": ("warning: 4 files", "cat/IMG_0.HEIC, cat/IMG_1.HEIC, cat/IMG_2.HEIC, ..."),
        ".jp2 is not supported": ("warning: 1 file ", "dog/scan.JP2"),
        "HEIC, JPEG 2000": ("warning: 1 file ", "dog/download"),
        "extension is unknown": ("warning: 1 file ", "dog/2.jpg_large"),
        "no extension, but images": ("1 file ", " read ", "dog/IMG_1"),
        "behind links": ("warning: 5 files", "dog/linked"),
        "broken links": ("warning: 1 file ", "bird"),
        "images beside the class folders": ("warning: 1 file ", "loose.jpg"),
        "not images by extension": ("1 file ", "BMW\\n.txt"),
    }.items():
        (line,) = (line for key, line in found.items() if why in key)
        assert all(word in line for word in words), line


def test_loose_images_in_and_beside_parts(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "val/a": 1, "val/b": 1, "train": 2, "val": 1, "doc": 3})
    shutil.copy(root / "train/a/000.jpg", root / "loose.jpg")
    assert {part: len(images) for part, images in read_folder(DataConfig(root=root)).splits.items()} == {
        "train": 6, "val": 2,
    }  # fmt: skip
    found = lines(capsys.readouterr().err)
    assert "3 files" in found["images beside the class folders"]
    assert "train/000.jpg, train/001.jpg, val/000.jpg" in found["images beside the class folders"]
    assert "loose.jpg" in found["images beside the splits"]
    assert "3 files" in found["in folders beside the splits"]


@pytest.mark.parametrize(
    "name", ["@eaDir", ".ipynb_checkpoints", "__MACOSX", "$RECYCLE.BIN", "lost+found", "#recycle", ".Trash-1000"]
)
def test_folders_of_the_system_are_no_data(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    root = make_folder({"a": 2, "b": 2, f"{name}/x": 2, f"b/{name}/001.jpg": 1})
    for leftover in ("._000.jpg", "Thumbs.db", ".DS_Store", "desktop.ini"):
        (root / "a" / leftover).write_bytes(b"x")
    source = read_folder(DataConfig(root=root))
    assert source.classes == ("a", "b")
    assert len(source.splits["train"]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("7 files")
    assert name in line


def test_loops_of_links_end(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 2, "b": 2})
    for link, target in (("a/up", root), ("b/self", root / "b"), ("round", root), ("above", root.parent)):
        (root / link).symlink_to(target)
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    source = read_folder(DataConfig(root=root))
    assert source.classes == ("a", "b")
    assert len(source.splits["train"]) == 4
    found = lines(capsys.readouterr().err)
    assert found["links to a folder above themselves"].startswith("4 files")
    assert "x, y" in found["broken links"]


def test_a_class_may_be_a_link(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 2, "b": 3})
    (root / "b").rename(root.parent / "elsewhere")
    (root / "b").symlink_to(root.parent / "elsewhere")
    (root.parent / "link").symlink_to(root)
    for place in (root, root.parent / "link"):
        assert read_folder(DataConfig(root=place)).splits["train"].labels.tolist() == [0, 0, 1, 1, 1]


def test_a_folder_that_cannot_be_listed_is_refused(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder({"a": 2, "b/deep": 2})
    real = os.scandir

    def scandir(place: str | Path) -> object:
        if str(place).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(place))
        return real(place)

    monkeypatch.setattr("os.scandir", scandir)
    with pytest.raises(DataError, match="b/deep cannot be listed: Permission denied"):
        images_below(root / "b", FileNotes(root))


def test_an_empty_class_is_explained(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 2, "b": 1})
    (root / "b/000.jpg").rename(root / "b/000.heic")
    with pytest.raises(DataError, match=r"1 class folder\(s\) have no images: .*b"):
        read_folder(DataConfig(root=root))
    assert ".heic is not supported" in capsys.readouterr().err
