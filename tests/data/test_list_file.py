from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import DataBundle, build_data
from toolkit.data.formats.paths import read_names


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
    assert [len(part) for part in build(root).splits.values()] == [9, 3]
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


@pytest.mark.parametrize(
    "text",
    [
        "0,gull\n1,猫\n2,dog\n",
        "gull 0\n猫 1\ndog 2\n",
        "dog,2\ngull,0\n猫,1",
        "0: gull\n1: 猫\n2: dog",
        "id,name\n0,gull\n1,猫\n2,dog",
    ],
)
def test_numbers_of_a_label_file_are_no_part_of_the_names(
    root: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "labels.txt").write_text(text, encoding="utf-8")
    assert build(root, label_file="labels.txt").classes == ("gull", "猫", "dog")
    assert "0 = gull, 1 = 猫, 2 = dog" in capsys.readouterr().err


def test_names_and_labels_may_both_count_from_1(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "labels.txt").write_text("1 gull\n2 cat\n3 dog\n")
    with pytest.raises(DataError, match=r"labels.txt numbers its names from 1, but labels in .* count from 0"):
        build(root, label_file="labels.txt")
    shift(root)
    data = build(root, label_file="labels.txt")
    assert data.classes == ("gull", "cat", "dog")
    assert data.train.labels.tolist()[:6] == [0, 1, 2, 0, 1, 2]
    assert "1 = gull" in capsys.readouterr().err
    (root / "labels.txt").write_text("gull\ncat\ndog\n")
    with pytest.raises(DataError, match=r"count from 1 \(1..3\).*subtract 1 from each, or number the names in labels"):
        build(root, label_file="labels.txt")
    with pytest.raises(DataError, match=r"count from 1 \(1..3\).*or keep them as names: data.classes: \[1, 2, 3\]"):
        build(root)
    assert build(root, classes=["1", "2", "3"]).train.labels.tolist()[:3] == [0, 1, 2]
    for text, message in (("0,a\n2,b\n", "not 0, 1, 2"), ("a 1\na 2\na 3\n", None)):
        (root / "labels.txt").write_text(text)
        if message:
            with pytest.raises(DataError, match=message):
                build(root, label_file="labels.txt")
        else:
            assert build_names(root) == ("a 1", "a 2", "a 3")


def build_names(root: Path) -> tuple[str, ...]:
    return read_names(root / "labels.txt")


def shift(root: Path) -> None:
    """Let the labels of both lists count from 1."""
    for name in ("train_list.txt", "val_list.txt"):
        lines = (root / name).read_text(encoding="utf-8-sig").split("\n")
        (root / name).write_text("\n".join(line[:-1] + str(int(line[-1]) + 1) for line in lines if line))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("jpg/", "jpg\\", "have backslashes, read as slashes"),
        (".jpg ", ".jpg, ", "end with a separator, which is ignored"),
        (".jpg ", ".jpg,", ""),
    ],
)
def test_names_are_found_however_they_are_written(
    root: Path, old: str, new: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = build(root)
    for name in ("train_list.txt", "val_list.txt"):
        text = (root / name).read_text(encoding="utf-8-sig")
        (root / name).write_text(text.replace(old, new), encoding="utf-8")
    data = build(root)
    assert [data.train.path(i) for i in range(9)] == [expected.train.path(i) for i in range(9)]
    assert data.train.labels.tolist() == expected.train.labels.tolist()
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("listed", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_that_the_disk_writes_another_way(
    root: Path, listed: str, stored: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = root / unicodedata.normalize(stored, "jpg/café.jpg")
    (root / "jpg/000.jpg").rename(path)
    text = (root / "train_list.txt").read_text(encoding="utf-8-sig")
    name = unicodedata.normalize(listed, "jpg/café.jpg")
    (root / "train_list.txt").write_text(text.replace("jpg/000.jpg", name), encoding="utf-8")
    assert Path(build(root).train.path(0)).samefile(path)
    assert "accents that the files write another way" in capsys.readouterr().err


def test_missing_images_report_where_they_were_sought_and_why(root: Path) -> None:
    def lines(front: str) -> None:
        (root / "train_list.txt").write_text("".join(f"{front}/{i:03d}.jpg {i % 2}\n" for i in range(8)))

    lines("data/lists/jpg")
    with pytest.raises(DataError, match=r"none of its 8 images exists; looked for .*without the prefix 'data/lists/'"):
        build(root)
    lines("C:\\photos\\jpg")
    with pytest.raises(DataError, match=r"without the prefix 'C:/photos/'"):
        build(root)
    (root / "jpg").rename(root / "png")
    (root / "lists").mkdir()
    (root / "png").rename(root / "lists" / "jpeg")
    lines("jpeg")
    with pytest.raises(DataError, match=f"set data.root: {root / 'lists'}, which"):
        build(root)
    lines("gone")
    with pytest.raises(DataError, match=r"names are relative to data\.root: check it"):
        build(root, on_bad_image="skip")


@pytest.mark.parametrize("text", ["{0: 'a',\n1: 'b'}", "[a,\nb]"])
def test_a_label_file_that_is_no_list_is_refused(root: Path, text: str) -> None:
    (root / "labels.txt").write_text(text)
    with pytest.raises(DataError, match=r"labels.txt is not a list of names"):
        build_names(root)
    (root / "labels.txt").write_text('"a, b"\n"c"\n')
    assert build_names(root) == ("a, b", "c")
