from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.core.console import command
from toolkit.core.errors import DataError
from toolkit.data import build_data
from toolkit.data.formats import read_folder

MakeFolder = Callable[..., Path]


def test_classes_are_the_sorted_folders(make_folder: MakeFolder) -> None:
    source = read_folder(DataConfig(root=make_folder({"zebra": 2, "ant": 3, "Ä b": 1, "10": 1, "9": 1})))
    assert source.classes == ("10", "9", "ant", "zebra", "Ä b")
    assert list(source.splits) == ["train"]
    train = source.splits["train"]
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
    assert source.splits["train"].labels.tolist() == [0, 0, 0, 1]


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


def test_test_images_without_classes_are_left_out_with_a_warning(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder({"train/a": 3, "train/b": 3, "test": 2})
    assert build_data(DataConfig(root=root)).test is None
    assert "test has no class folders and is left out" in capsys.readouterr().err


def test_a_class_may_be_called_train(make_folder: MakeFolder) -> None:
    assert read_folder(DataConfig(root=make_folder({"car": 2, "train": 2, "plane": 2}))).classes == (
        "car", "plane", "train",
    )  # fmt: skip


def two_classes(*folders: str) -> dict[str, int]:
    return {f"{folder}/{name}": count for folder in folders for name, count in (("cat", 4), ("dog", 5))}


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        ("training_set test_set", "train test"),
        ("train_images test_images", "train test"),
        ("training_data testing_data", "train test"),
        ("seg_train/seg_train seg_test/seg_test", "train test"),
        ("train/train test/test", "train test"),
        ("train/images val/images", "train val"),
        ("Flowers-Train Flowers-Val", "train val"),
        ("My.Training.Images My.Test.Images", "train test"),
        ("01_train2017 02_val2017", "train val"),
        ("TRAINset TESTset", "train test"),
        ("trainSplit validationSplit", "train val"),
        ("mytrain mytest", "train test"),
        ("训练集 验证集 测试集", "train val test"),
        ("train dev", "train val"),
        ("train eval", "train val"),
        ("train test evaluation", "train test val"),
        ("train dev eval", "train val test"),
        ("train holdout", "train test"),
        ("train val aug_train aug_val", "train val"),
        ("train val backup", "train val"),
    ],
)
def test_parts_are_known_by_their_usual_names(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], folders: str, parts: str
) -> None:
    names, root = folders.split(), make_folder(two_classes(*folders.split()))
    source = read_folder(DataConfig(root=root))
    assert source.classes == ("cat", "dog")
    assert list(source.splits) == [part for part in ("train", "val", "test") if part in parts]
    for name, part in zip(names, parts.split(), strict=False):
        assert {Path(file).parents[1] for file in source.splits[part].files} == {root / name}  # type: ignore[attr-defined]
    said = capsys.readouterr().err
    for name, part in zip(names, parts.split(), strict=False):
        assert f"{part} = {name}/" in said or folders.startswith("train val")
    for name in names[len(parts.split()) :]:
        assert "left out (in folders beside the splits): " in said
        assert name in said


@pytest.mark.parametrize(
    ("counts", "message", "cure"),
    [
        (two_classes("a", "b"), "a/, b/ hold the same subfolders", "data.classes: [a, b]"),
        ({"a": 1, **two_classes("a", "b/images")}, "a/, b/ hold the same subfolders", "data.classes: [a, b]"),
        ({"1/x": 1, "1/y": 1, "1/z": 1, "2/x": 1, "2/y": 1, "2/w": 1, "3": 2}, "1/, 2/ hold the same", "data.root"),
        (two_classes("train", "stuff"), "stuff/ next to it holds the same class folders", "/train; if all"),
        (two_classes("steam_train", "bullet_train"), "hold the same subfolders", "data.classes"),
        ({"train/steam": 3, "train/diesel": 3, "car": 3}, "car/ next to it holds images", "data.classes: [car, train]"),
        ({"train": 3, "test": 3}, "have no class folders", "data.classes: [test, train]"),
        ({"seg_train": 3, "seg_test": 3, "seg_pred": 3}, "have no class folders", "data.classes"),
        (
            {"cat/train": 2, "cat/val": 2, "dog/train": 2, "dog/val": 2},
            "hold splits of their own",
            "<root>/train/<class>",
        ),
        ({"cat": 2, "dog": 2, **two_classes("extra")}, "extra/ holds folders of the same names", "data.classes"),
        (two_classes("test"), "has test/ but no train/", "expected"),
        (two_classes("test", "other"), "has test/ but no train/", "data.classes"),
        (two_classes("train", "val", "dev"), "has both dev/ and val/", "keep one"),
        (two_classes("train", "val", "test", "eval"), "has val/, test/ and eval/", "keep two"),
        (two_classes("a_train", "a_val", "b_train", "b_val"), "the splits of 2 data sets", "keep those of one"),
        (two_classes("photos"), "found 1 class in .*: photos", "pets/photos"),
        ({**two_classes("a/b"), "docs": 0}, "found 1 class in .*: a", "pets/a/b"),
        (two_classes("photos/train", "photos/val"), "found 1 class in .*: photos", "pets/photos"),
        ({**two_classes("photos/train", "photos/val"), "docs": 1}, "photos/ hold splits of their own", "pets/photos"),
    ],
)
def test_ambiguous_folders_are_refused(
    make_folder: MakeFolder, counts: dict[str, int], message: str, cure: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        build_data(DataConfig(root=make_folder(counts, "pets")))
    assert cure in (caught.value.hint or "")


@pytest.mark.parametrize(
    "counts",
    [
        {"car": 2, "train": 2, "bus": 2},
        {"car": 2, "train": 2, "train/more": 1, "bus": 2},
        {"train": 2, "test": 2, "car": 2},
        {"train_ticket": 2, "test_tube": 2},
        {"valid": 2, "invalid": 2},
        {"steam_train": 2, "bullet_train": 2},
        {"cat/images": 2, "dog/images": 2},
        {"cat": 2, "cat/a": 1, "cat/b": 1, "dog": 3, "dog/a": 1, "dog/b": 1},
        {"animals/cat": 1, "animals/dog": 1, "vehicles/car": 1, "vehicles/bus": 1},
    ],
)
def test_classes_stay_classes(make_folder: MakeFolder, counts: dict[str, int]) -> None:
    source = read_folder(DataConfig(root=make_folder(counts)))
    assert source.classes == tuple(sorted({name.split("/")[0] for name in counts}))
    assert len(source.splits["train"]) == sum(counts.values())


@pytest.mark.parametrize(
    "counts", [{"train/steam": 2, "train/diesel": 3, "car": 3}, {"train": 2, "car": 2}, two_classes("train", "car")]
)
def test_named_classes_are_classes_even_if_they_look_like_splits(
    make_folder: MakeFolder, counts: dict[str, int]
) -> None:
    data = build_data(DataConfig(root=make_folder(counts), classes=("train", "car")))
    assert data.classes == ("train", "car")
    assert len(data.train) + len(data.val) == sum(counts.values())


def test_images_without_class_folders_can_have_advice(make_folder: MakeFolder) -> None:
    root = make_folder({"photos": 2}) / "photos"
    with pytest.raises(DataError, match="has no class folders") as caught:
        read_folder(DataConfig(root=root))
    assert command("advise", "--images", root) in (caught.value.hint or "")


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
            r"not in training: dgos.*did you mean dogs",
        ),
        ({"only": 3}, "at least 2 classes, found 1: only"),
    ],
)
def test_errors_are_explained(make_folder: MakeFolder, counts: dict[str, int], message: str) -> None:
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


def test_a_forbidden_root_is_reported(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
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
