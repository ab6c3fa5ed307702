from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.data import build_data
from toolkit.data.formats import read_folder
from toolkit.errors import DataError

MakeFolder = Callable[..., Path]


def test_classes_are_the_sorted_folders(make_folder: MakeFolder) -> None:
    source = read_folder(DataConfig(root=make_folder({"zebra": 2, "ant": 3, "Ä b": 1, "10": 1, "9": 1})))
    assert source.classes == ("10", "9", "ant", "zebra", "Ä b")
    assert list(source.parts) == ["train"]
    train = source.parts["train"]
    assert [(source.classes[label], Path(train.path(i)).parent.name) for i, label in enumerate(train.labels)] == [
        (name, name) for name in ("10", "9", "ant", "ant", "ant", "zebra", "zebra", "Ä b")
    ]


def test_hidden_and_other_files_are_ignored_and_subfolders_are_searched(make_folder: MakeFolder) -> None:
    root = make_folder({"a/deep/er": 2, "a": 1, "b": 1, ".cache/x": 1, "__MACOSX/a": 1})
    (root / "a" / "notes.txt").write_text("no image")
    (root / "a" / "._000.jpg").write_bytes(b"no image")
    (root / "a" / ".thumbs").mkdir()
    (root / "a" / ".thumbs" / "x.jpg").write_bytes(b"no image")
    (root / "labels.csv").write_text("no image")
    (root / "a" / "000.jpg").rename(root / "a" / "000.JPG")
    source = read_folder(DataConfig(root=root))
    assert source.classes == ("a", "b")
    assert source.parts["train"].labels.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_own_split(make_folder: MakeFolder, name: str) -> None:
    root = make_folder({"train/a": 3, "train/b": 2, f"{name}/a": 1, f"{name}/b": 2, "test/a": 1, "test/b": 1, "doc": 0})
    data = build_data(DataConfig(root=root))
    assert data.counts() == {"train": {"a": 3, "b": 2}, "val": {"a": 1, "b": 2}, "test": {"a": 1, "b": 1}}
    assert data.evaluation == ("test", data.test)


def test_train_and_test_only_draws_validation_from_training(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 10, "train/b": 5, "test/a": 1, "test/b": 1})
    data = build_data(DataConfig(root=root))
    assert data.counts() == {"train": {"a": 8, "b": 4}, "val": {"a": 2, "b": 1}, "test": {"a": 1, "b": 1}}


def test_test_pictures_without_classes_are_left_out_aloud(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "test": 2})
    assert build_data(DataConfig(root=root)).test is None
    assert "test has no class folders and is left out" in capsys.readouterr().err


def test_a_class_may_be_called_train(make_folder: MakeFolder) -> None:
    assert read_folder(DataConfig(root=make_folder({"car": 2, "train": 2, "plane": 2}))).classes == (
        "car", "plane", "train",
    )  # fmt: skip


def test_images_without_class_folders_can_have_advice(make_folder: MakeFolder) -> None:
    root = make_folder({"photos": 2}) / "photos"
    with pytest.raises(DataError, match="has no class folders") as caught:
        read_folder(DataConfig(root=root))
    assert f"tools/advise.py --images {root}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"a": 2, "b": 0, "c": 0}, r"2 class folder\(s\) have no images: .*b, .*c"),
        ({}, "has no class folders"),
        ({"train/a": 2, "val": 2}, "val has no class folders"),
        ({"train": 2, "val/a": 2}, "train has no class folders"),
        ({"val/a": 2, "test/b": 2}, "has test/ but no train/"),
        ({"train/a": 2, "val/a": 2, "valid/a": 2}, "has both val/ and valid/"),
        (
            {"train/cats": 2, "train/dogs": 2, "val/cats": 2, "val/dgos": 2},
            r"training has not: dgos.*did you mean dogs",
        ),
        ({"only": 3}, "at least 2 classes, found 1: only"),
    ],
)
def test_what_is_wrong_is_said(make_folder: MakeFolder, counts: dict[str, int], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_data(DataConfig(root=make_folder(counts, "pets")))
    assert caught.value.hint


def test_missing_root_names_a_near_one(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder({"a": 1}, "flower_photos")
    with pytest.raises(DataError, match=r"flowers_photo does not exist.*did you mean flower_photos"):
        read_folder(DataConfig(root=tmp_path / "flowers_photo"))
    with pytest.raises(DataError, match="does not exist"):
        read_folder(DataConfig(root=tmp_path / "no" / "such" / "place"))
    with pytest.raises(DataError, match=r"data\.root is not set"):
        read_folder(DataConfig())
    (tmp_path / "set.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="is a file, expected a folder"):
        read_folder(DataConfig(root=tmp_path / "set.zip"))


def test_forbidden_root_is_said(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_folder({"a": 1, "b": 1})
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(DataError, match="may not be read"):
        read_folder(DataConfig(root=root))


def test_another_format_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "images.txt").write_text("1 a/b.jpg")
    with pytest.raises(DataError, match=r"use data\.format: cub200"):
        read_folder(DataConfig(root=tmp_path))


def test_chosen_classes_only(make_folder: MakeFolder) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "train/junk": 0, "val/a": 1, "val/b": 1, "val/extra": 1})
    data = build_data(DataConfig(root=root, classes=("b", "a")))
    assert data.classes == ("b", "a")
    assert {Path(data.train.path(i)).parent.name for i in range(6) if data.train.labels[i] == 0} == {"b"}
    with pytest.raises(DataError, match=r"no class 'bb'.*did you mean b\?"):
        build_data(DataConfig(root=root, classes=("bb", "a")))
    with pytest.raises(DataError, match="names a class twice"):
        build_data(DataConfig(root=root, classes=("a", "a")))
