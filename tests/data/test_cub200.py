from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import build_data
from toolkit.data.formats import read_cub200

FILES = ("images.txt", "image_class_labels.txt", "train_test_split.txt", "classes.txt")


@pytest.fixture
def cub(make_folder: Callable[..., Path]) -> Path:
    """Three classes with the ids 2, 7 and 10, four images each, every fourth a test image."""
    classes = {"2": "002.Wren", "7": "007.Grey Jay", "10": "010.Owl"}
    root = make_folder({f"images/{name}": 4 for name in classes.values()}, "CUB_200_2011")
    rows = [(class_id, f"{name}/{i:03d}.jpg", int(i < 3)) for class_id, name in classes.items() for i in range(4)]
    ids = range(1, len(rows) + 1)
    (root / "classes.txt").write_text("".join(f"{i} {name}\n" for i, name in classes.items()))
    (root / "images.txt").write_text("".join(f"{i} {row[1]}\n" for i, row in zip(ids, rows, strict=True)))
    (root / "image_class_labels.txt").write_text("".join(f"{i} {row[0]}\n" for i, row in zip(ids, rows, strict=True)))
    (root / "train_test_split.txt").write_text("".join(f"{i} {row[2]}\n" for i, row in zip(ids, rows, strict=True)))
    return root


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_official_split_and_names(cub: Path) -> None:
    data = build_data(DataConfig(format="cub200", root=cub))
    names = ("002.Wren", "007.Grey Jay", "010.Owl")
    assert data.classes == names
    assert data.counts() == {"train": dict.fromkeys(names, 3), "val": dict.fromkeys(names, 1)}
    assert data.test is None
    for images in (data.train, data.val):
        for i, label in enumerate(images.labels):
            assert Path(images.path(i)).parent.name == names[label]
    assert {Path(data.val.path(i)).name for i in range(3)} == {"003.jpg"}


def test_test_fraction_takes_from_the_training_images(cub: Path) -> None:
    data = build_data(DataConfig(format="cub200", root=cub, test_fraction=0.3))
    assert {part: len(images) for part, images in data.splits.items()} == {"train": 6, "val": 3, "test": 3}
    official = build_data(DataConfig(format="cub200", root=cub))
    assert data.val.fingerprint() == official.val.fingerprint()


def test_root_may_be_above_or_below(cub: Path) -> None:
    expected = read_cub200(DataConfig(root=cub)).splits["train"].fingerprint()
    for root in (cub.parent, cub / "images"):
        assert read_cub200(DataConfig(root=root)).splits["train"].fingerprint() == expected


def test_windows_line_ends_are_fine(cub: Path) -> None:
    for name in FILES:
        (cub / name).write_bytes((cub / name).read_bytes().replace(b"\n", b"\r\n"))
    assert build_data(DataConfig(format="cub200", root=cub)).classes[2] == "010.Owl"


@pytest.mark.parametrize("name", FILES)
def test_missing_line_names_file_and_id(cub: Path, name: str) -> None:
    lines = (cub / name).read_text().splitlines()
    lost = lines.pop(1).split()[0]
    (cub / name).write_text("\n".join(lines))
    with pytest.raises(DataError, match=rf"{name} has no line for (image|class) {lost} "):
        read_cub200(DataConfig(root=cub))


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(cub: Path, name: str) -> None:
    (cub / name).unlink()
    with pytest.raises(DataError, match=name):
        read_cub200(DataConfig(root=cub))


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("train_test_split.txt", "5 1", "5 2", r"train_test_split.txt: expected 0 or 1 for image 5"),
        ("train_test_split.txt", "5 1", "5", r"train_test_split.txt:5: expected 'id value', got '5'"),
        ("images.txt", "5 ", "x ", r"images.txt:5: expected 'id value'"),
        ("images.txt", "5 ", "4 ", r"images.txt:5: id 4 is repeated"),
        ("image_class_labels.txt", "5 7", "5 8", r"classes.txt has no line for class 8"),
        ("images.txt", "007.Grey Jay/001.jpg", "007.Grey Jay/gone.jpg", r"1 of 12 images.*gone.jpg \(missing\)"),
    ],
)
def test_wrong_lines_are_named(cub: Path, name: str, old: str, new: str, message: str) -> None:
    if name == "images.txt" and old == "5 ":
        old = "\n5 "
        new = "\n" + new
    edit(cub / name, old, new)
    with pytest.raises(DataError, match=message):
        build_data(DataConfig(format="cub200", root=cub))


def test_two_classes_of_one_name_are_an_error(cub: Path) -> None:
    edit(cub / "classes.txt", "007.Grey Jay", "002.Wren")
    with pytest.raises(DataError, match=r"names a class twice: 002\.Wren"):
        build_data(DataConfig(format="cub200", root=cub))
