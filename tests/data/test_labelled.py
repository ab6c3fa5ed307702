"""Labelled images for a trained network."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import FileImages
from toolkit.data.labelled import match_classes, read_labelled

KNOWN = ("ant", "bee", "cat")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(4):
        Image.new("RGB", (9, 9), (number * 60, 0, 0)).save(tmp_path / f"{number}.png")
    return tmp_path


def table(folder: Path, text: str, name: str = "new.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_classes_are_found_by_name() -> None:
    files = FileImages(["a", "b", "c"], [0, 1, 1])
    assert match_classes(files, ("cat", "ant"), KNOWN).labels.tolist() == [2, 0, 0]
    composed, apart = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    assert match_classes(files, (apart, "ant"), ("ant", composed)).labels.tolist() == [1, 0, 0]
    with pytest.raises(DataError, match=r"does not know: 'dog'; it knows 'ant'"):
        match_classes(files, ("ant", "dog"), KNOWN)
    assert match_classes(files.take([0]), ("ant", "dog"), KNOWN).labels.tolist() == [0]  # no image of a dog


def test_columns_are_found_by_name(images: Path) -> None:
    flags = table(images, "path,cat,ant,bee\n0.png,1,0,0\n1.png,0,1,1\n")
    assert read_labelled(flags, DataConfig(), KNOWN, "multilabel").labels.tolist() == [[0, 0, 1], [1, 1, 0]]
    with pytest.raises(DataError, match="no column for 1 of 3 outputs: bee"):
        read_labelled(table(images, "path,cat,ant\n0.png,1,0\n"), DataConfig(), KNOWN, "multilabel")
    numbers = table(images, "path,note,height,width\n0.png,7,1.5,2\n1.png,8,3,4\n")
    found = read_labelled(numbers, DataConfig(), ("width", "height"), "regression").labels
    assert np.array_equal(found, [[2, 1.5], [4, 3]])


def test_names_in_a_cell_need_not_name_every_label(images: Path) -> None:
    named = table(images, "path,tags\n0.png,cat|ant\n1.png,\n")
    assert read_labelled(named, DataConfig(), KNOWN, "multilabel").labels.tolist() == [[1, 0, 1], [0, 0, 0]]
    with pytest.raises(DataError, match="does not know: 'dog'"):
        read_labelled(table(images, "path,tags\n0.png,cat|dog\n"), DataConfig(), KNOWN, "multilabel")


def test_the_part_that_a_table_calls_test_is_read(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    split = table(images, "path,label,split\n0.png,ant,train\n1.png,bee,test\n2.png,cat,val\n3.png,cat,test\n")
    found = read_labelled(split, DataConfig(), KNOWN)
    assert [Path(found.path(i)).name for i in range(len(found))] == ["1.png", "3.png"]
    assert "the 2 test images of 4 are read" in capsys.readouterr().err


def test_a_list_may_be_outside_its_image_folder(images: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    listed = table(tmp_path / "lists", "0.png 2\n1.png 0\n", "new.txt")
    found = read_labelled(listed, DataConfig(root=images), KNOWN)
    assert found.labels.tolist() == [2, 0]
    assert Path(found.path(0)) == images / "0.png"


def test_nothing_to_read_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_labelled(tmp_path / "gone", DataConfig(), KNOWN)
    (tmp_path / "empty" / "ant").mkdir(parents=True)
    with pytest.raises(DataError, match="no class folders with images"):
        read_labelled(tmp_path / "empty", DataConfig(), KNOWN)
    with pytest.raises(DataError, match="needs a table"):
        read_labelled(tmp_path / "empty", DataConfig(), KNOWN, "regression")


@pytest.mark.parametrize("text", ["path,label\n0.png,cat\n1.png,ant\n", "0.png,cat\n1.png,ant\n"])
def test_a_table_may_be_outside_its_image_folder(images: Path, text: str) -> None:
    (images / "lists").mkdir()
    found = read_labelled(table(images / "lists", text), DataConfig(root=images), KNOWN)
    assert found.labels.tolist() == [2, 0]
    assert Path(found.path(0)) == images / "0.png"
