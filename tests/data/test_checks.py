from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.core.names import alike
from toolkit.data import build_data

MakeFolder = Callable[..., Path]


def cut(file: Path, share: float = 0.6) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def test_all_bad_files_are_found_and_the_first_are_named(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 8, "b": 8})
    for i in range(4):
        cut(root / "a" / f"{i:03d}.jpg")
    (root / "b" / "000.jpg").write_bytes(b"")
    (root / "b" / "001.jpg").write_text("<html>")
    (root / "b" / "002.jpg").unlink()
    (root / "b" / "002.jpg").symlink_to(root / "nowhere")
    with pytest.raises(DataError, match=r"7 of 16 images cannot be read: .*a/000.jpg \(damaged.* and 2 more") as caught:
        build_data(DataConfig(root=root))
    assert "on_bad_image: skip" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files_can_be_left_out_aloud(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"a": 10, "b": 10})
    cut(root / "a" / "003.jpg")
    data = build_data(DataConfig(root=root, on_bad_image="skip"))
    assert len(data.train) + len(data.val) == 19
    assert "003.jpg" not in "".join(data.train.path(i) for i in range(len(data.train)) if data.train.labels[i] == 0)
    message = capsys.readouterr().err
    assert "1 of 20 images cannot be read and are left out" in message
    assert "003.jpg" in message


def test_a_class_that_loses_all_its_images_is_named(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 3, "b": 2})
    for file in (root / "b").iterdir():
        cut(file)
    with pytest.raises(DataError, match="1 of 2 classes have no train image: b"):
        build_data(DataConfig(root=root, on_bad_image="skip"))


def test_a_class_with_one_image_cannot_be_split(make_folder: MakeFolder) -> None:
    root = make_folder({"a": 5, "b": 1})
    with pytest.raises(DataError, match=r"too few images to split into 2 splits \(train, val\): b \(1\)"):
        build_data(DataConfig(root=root))
    build_data(DataConfig(root=make_folder({"train/a": 5, "train/b": 1, "val/a": 1, "val/b": 1}, "own")))


def test_a_class_without_validation_images_gets_a_warning(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    build_data(DataConfig(root=make_folder({"train/a": 2, "train/b": 2, "val/a": 2})))
    assert capsys.readouterr().err.endswith(", RGB 6\nwarning: no val images of 1 of 2 classes: b\n")


def test_identical_files_get_one_line_each_way(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2})
    build_data(DataConfig(root=root))
    assert capsys.readouterr().err == "images: 10, all 48x40, RGB 10\n"
    shutil.copy(root / "train/a/000.jpg", root / "train/a/twin.jpg")
    build_data(DataConfig(root=root))
    sizes, line = capsys.readouterr().err.splitlines()
    assert sizes == "images: 11, all 48x40, RGB 11"
    assert "1 identical image(s) in one class" in line
    assert "twin.jpg" in line
    shutil.copy(root / "train/a/000.jpg", root / "val/a/leak.jpg")
    shutil.copy(root / "train/b/001.jpg", root / "train/a/other.jpg")
    build_data(DataConfig(root=root))
    lines = capsys.readouterr().err.splitlines()[1:]
    assert len(lines) == 2
    assert "training and evaluation" in lines[0]
    assert "leak.jpg" in lines[0]
    assert "two classes" in lines[1]
    assert "(a / b)" in lines[1]


def test_a_file_that_breaks_later_is_named_when_it_is_read(make_folder: MakeFolder) -> None:
    data = build_data(DataConfig(root=make_folder({"a": 5, "b": 5})))
    cut(Path(data.train.path(2)))
    with pytest.raises(DataError, match=Path(data.train.path(2)).name):
        data.train.read(2)


COMPOSED, APART = "caf\u00e9", "cafe\u0301"


def test_names_that_hardly_differ_get_one_warning(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["Ant", "ant", "0", "0.0", "bee", "bee ", "cat", "cat\u200b", COMPOSED, APART, "a", "A"]
    names += ["sea  gull", "Sea gull", "elk"]
    build_data(DataConfig(root=make_folder(dict.fromkeys(names, 2))))
    lines = [line for line in capsys.readouterr().err.splitlines() if "nearly the same name" in line]
    assert len(lines) == 1
    for words in ("'Ant' and 'ant'", "'0' and '0.0'", "'bee' and 'bee '", "'cat' and 'cat\\u200b'"):
        assert words in lines[0]
    assert alike([COMPOSED, APART]) == ["'caf\\xe9' and 'cafe\\u0301'"]
    assert not alike(["a", "A", "elk", "1", "10", "nan", "inf"])


def test_parts_may_write_a_name_in_two_ways(
    make_folder: MakeFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = {f"train/{COMPOSED}": 3, "train/ant": 3, f"val/{APART}": 2, "val/ant\u200b": 1}
    data = build_data(DataConfig(root=make_folder(counts)))
    assert data.classes == ("ant", COMPOSED)
    assert data.val.labels.tolist() == [0, 1, 1]
    assert (
        "val: 'ant\\u200b' is class 'ant' of training, 'cafe\\u0301' is class 'caf\\xe9' of training"
        in capsys.readouterr().err
    )
    assert build_data(DataConfig(root=tmp_path / "set", classes=(APART, "ant"))).classes == (COMPOSED, "ant")
    table = "".join(f"{path.relative_to(tmp_path)},{APART}\n" for path in sorted((tmp_path / "set").glob("val/caf*/*")))
    files = sorted((tmp_path / "set").glob("train/*/*"))
    rows = "".join(f"{path.relative_to(tmp_path)},{path.parent.name}\n" for path in files)
    (tmp_path / "train.csv").write_text(f"path,label\n{rows}", encoding="utf-8")
    (tmp_path / "val.csv").write_text(f"path,label\n{table}", encoding="utf-8")
    assert build_data(DataConfig(root=tmp_path, format="csv")).val.labels.tolist() == [1, 1]
    assert "names are spelled differently from training" in capsys.readouterr().err
