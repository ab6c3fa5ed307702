from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.data import DataBundle, build_data
from toolkit.errors import DataError


@pytest.fixture
def root(make_folder: Callable[..., Path]) -> Path:
    root = make_folder({"jpg": 12, "jpg/with space": 2}, "lists")
    lines = [f"jpg/{i:03d}.jpg {i % 3}" for i in range(9)]
    lines += ["jpg/with space/000.jpg\t0", '"jpg/with space/001.jpg" 1', f"{root / 'jpg' / '009.jpg'} 2"]
    (root / "train_list.txt").write_text("\n".join(lines) + "\n\n", encoding="utf-8-sig")
    (root / "val_list.txt").write_text("jpg/010.jpg 1\njpg/011.jpg 0\n")
    (root / "labels.txt").write_text("0 sea gull\n1 猫\n2 dog\n", encoding="utf-8")
    return root


def build(root: Path, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"format": "list", "root": root, **values}))


def test_lists_and_label_file(root: Path) -> None:
    data = build(root, label_file="labels.txt")
    assert data.classes == ("sea gull", "猫", "dog")
    assert data.counts()["train"] == {"sea gull": 4, "猫": 4, "dog": 4}
    assert data.train.path(9) == str(root / "jpg" / "with space" / "000.jpg")
    assert data.train.path(11) == str(root / "jpg" / "009.jpg")
    assert data.val.labels.tolist() == [1, 0]
    assert data.train.read(10).shape == (40, 48, 3)


@pytest.mark.parametrize("text", ["sea gull\n猫\ndog\n", "2 dog\n0 sea gull\n1 猫\n"])
def test_label_file_in_other_forms(root: Path, text: str) -> None:
    (root / "labels.txt").write_text(text, encoding="utf-8")
    assert build(root, label_file="labels.txt").classes == ("sea gull", "猫", "dog")


def test_names_may_begin_with_numbers(root: Path) -> None:
    (root / "labels.txt").write_text("3 of clubs\n2 of clubs\n7 of hearts\n")
    assert build(root, label_file="labels.txt").classes == ("3 of clubs", "2 of clubs", "7 of hearts")


def test_without_label_file_the_numbers_are_the_names(root: Path) -> None:
    assert build(root).classes == ("0", "1", "2")


def test_default_val_list_that_is_not_there_is_drawn(root: Path) -> None:
    (root / "val_list.txt").unlink()
    assert [len(part) for part in build(root).parts.values()] == [9, 3]
    with pytest.raises(DataError, match=r"cannot read .*eval\.txt: No such file"):
        build(root, val_list="eval.txt")


def test_test_list(root: Path) -> None:
    (root / "test_list.txt").write_text("jpg/010.jpg 1\n")
    data = build(root, test_list="test_list.txt")
    assert data.test is not None
    assert data.test.path(0).endswith("010.jpg")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("jpg/001.jpg", r"train_list.txt:2: expected 'path label'"),
        ("jpg/001.jpg cat", r"train_list.txt:2: expected 'path label'.*'jpg/001.jpg cat'"),
        ("jpg/001.jpg 1.5", r"train_list.txt:2: expected"),
        ("jpg/001.jpg 3", r"train_list.txt: label\(s\) outside 0..2: line 2: 3"),
        ("jpg/001.jpg -1", r"train_list.txt: label\(s\) outside 0..2: line 2: -1"),
        ("jpg/gone.jpg 1", r"1 of 14 images cannot be read: .*gone.jpg \(missing\)"),
    ],
)
def test_wrong_lines_are_named(root: Path, line: str, message: str) -> None:
    lines = (root / "train_list.txt").read_text(encoding="utf-8-sig").splitlines()
    lines[1] = line
    (root / "train_list.txt").write_text("\n".join(lines))
    with pytest.raises(DataError, match=message):
        build(root, label_file="labels.txt")


def test_a_number_that_never_occurs_is_named(root: Path) -> None:
    (root / "labels.txt").write_text("a\nb\nc\nd\n")
    with pytest.raises(DataError, match="1 of 4 classes have no train image: d"):
        build(root, label_file="labels.txt")


def test_other_wrong_files(root: Path) -> None:
    (root / "labels.txt").write_text("a\nb\na\n")
    with pytest.raises(DataError, match=r"names a class twice: a"):
        build(root, label_file="labels.txt")
    (root / "labels.txt").write_bytes("中文\n".encode("gb18030") * 3)
    with pytest.raises(DataError, match=r"labels.txt is not UTF-8"):
        build(root, label_file="labels.txt")
    (root / "train_list.txt").write_text("\n")
    with pytest.raises(DataError, match=r"train_list.txt lists no images"):
        build(root)
