"""Data sets given in Python are the same as files: what is read back, and what is refused."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import DataBundle, build_data
from toolkit.data.given import Data

pandas = pytest.importorskip("pandas")
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 10, 9, 3)).astype(np.uint8)


def built(data: Data) -> DataBundle:
    return build_data(DataConfig.model_validate(dict(data.values)), data.task)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Twelve image files whose names need quoting."""
    paths = [tmp_path / f'no, "{i}" ü.png' for i in range(12)]
    for path, image in zip(paths, COLOURS, strict=True):
        path.write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    return paths


def test_lists(files: list[Path]) -> None:
    splits = ["train"] * 6 + ["val"] * 4 + ["test"] * 2
    found = built(Data.from_lists(files, ["a", "b"] * 6, splits))
    assert found.classes == ("a", "b")
    assert [len(images) for images in found.splits.values()] == [6, 4, 2]
    assert [found.val.path(i) for i in range(4)] == [str(path) for path in files[6:10]]
    assert found.val.labels.tolist() == [0, 1, 0, 1]


def test_relative_paths_are_those_of_now(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files[0].parent)
    data = Data.from_lists([path.name for path in files], ["a", "b"] * 6)
    monkeypatch.chdir("/")
    assert len(built(data).train) > 0


def test_numbers_are_classes(files: list[Path]) -> None:
    assert built(Data.from_lists(files, [10, 2] * 6)).classes == ("2", "10")


def test_a_frame(files: list[Path]) -> None:
    frame = pandas.DataFrame(
        {"file": [path.name for path in files], "species": ["a", "b"] * 6, "fold": ["train"] * 8 + ["val"] * 4}
    )
    data = Data.from_frame(frame, "file", "species", "fold", root=files[0].parent, name="birds", batch_size=4)
    found = built(data)
    assert (data.name, data.values["batch_size"], len(found.train), len(found.val)) == ("birds", 4, 8, 4)


def test_columns_of_labels_and_of_numbers(files: list[Path]) -> None:
    frame = pandas.DataFrame({"path": files, "red": [0, 1] * 6, "blue": [1, 1, 0] * 4, "size": np.arange(12) / 7})
    many = built(Data.from_frame(frame, label=["red", "blue"], task="multilabel", val_fraction=0.25))
    assert set(many.classes) == {"red", "blue"}
    sizes = built(Data.from_frame(frame, label=["size"], task="regression", val_fraction=0.25))
    assert sizes.classes == ("size",)
    labels = np.concatenate([sizes.train.labels, sizes.val.labels])
    assert np.allclose(np.sort(labels.ravel()), np.arange(12) / 7)


def test_arrays_come_back_pixel_by_pixel() -> None:
    splits = ["train"] * 8 + ["val"] * 4
    for images in (COLOURS, list(COLOURS), COLOURS / 255):
        found = built(Data.from_arrays(images, [0, 1] * 6, splits, classes=["ant", "bee"]))
        assert found.classes == ("ant", "bee")
        read = [found.train.read(i) for i in range(8)] + [found.val.read(i) for i in range(4)]
        assert all(np.array_equal(*pair) for pair in zip(read, COLOURS, strict=True))


def test_the_same_arrays_are_written_once(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (Data.from_arrays(COLOURS[..., 0], [0, 1] * 6) for _ in range(2))
    assert first == second
    assert Data.from_arrays(COLOURS[..., 0], [1, 0] * 6).values["root"] != first.values["root"]


class Pairs:
    """A data set of tensors' layout: channels first, labels as arrays."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.images[index].transpose(2, 0, 1), np.array([index % 2])


def test_classes_keep_their_order() -> None:
    found = built(Data.from_arrays(COLOURS, [0, 1, 2] * 4, classes=["zebra", "ant", "bee"]))
    assert found.classes == ("zebra", "ant", "bee")
    assert sorted(np.concatenate([found.train.labels, found.val.labels])) == [0] * 4 + [1] * 4 + [2] * 4


def test_two_processes_that_write_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def slower(source: Path, target: Path) -> None:
        shutil.copytree(source, target)  # by another process
        replace(source, target)

    monkeypatch.setattr("toolkit.data.given.os.replace", slower)
    assert len(built(Data.from_arrays(COLOURS[::-1], [0, 1] * 6)).train) > 0


def test_what_is_changed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    Data.from_dataset(Pairs(COLOURS))
    assert "images are taken as [channels, H, W]" in capsys.readouterr().err
    Data.from_arrays(COLOURS / 255, [0, 1] * 6)
    assert "floats in [0, 1] are stored as 8-bit values" in capsys.readouterr().err


def test_a_dataset() -> None:
    found = built(Data.from_dataset(Pairs(COLOURS[:8]), Pairs(COLOURS[8:]), classes=["x", "y"]))
    assert (len(found.train), len(found.val), found.classes) == (8, 4, ("x", "y"))
    assert np.array_equal(found.train.read(3), COLOURS[3])


FILES = ["a.png", "b.png"]
REFUSED = {
    "lengths": (lambda: Data.from_lists(FILES, ["x"]), "2 images, but 1 labels"),
    "none": (lambda: Data.from_lists([], []), "there are no images"),
    "mixed": (lambda: Data.from_lists(FILES, ["x", 1]), "some labels are text and some are numbers"),
    "floats": (lambda: Data.from_lists(FILES, [0.5, 1.5]), "label 0 is 0.5"),
    "missing": (lambda: Data.from_lists(FILES, ["x", None]), "label 1 is None"),
    "split": (lambda: Data.from_lists(FILES, ["x", "y"], ["train", "dev"]), "split 'dev'"),
    "nan": (lambda: Data.from_lists(FILES, [0.5, float("nan")], task="regression"), "label 1 is nan"),
    "names": (lambda: Data.from_lists(FILES, ["x", "y"], task="multilabel"), "label 0 is 'x'"),
    "column": (lambda: Data.from_frame(pandas.DataFrame({"path": FILES, "labels": [1, 2]})), "did you mean labels"),
    "range": (lambda: Data.from_arrays(COLOURS / 1.0, [0, 1] * 6), "image 0 is float64 from"),
    "shape": (lambda: Data.from_arrays(np.zeros((2, 3, 8, 8), np.uint8), [0, 1]), r"image 0 has shape \[3, 8, 8\]"),
    "index": (lambda: Data.from_arrays(COLOURS, [0, 2] * 6, classes=["a", "b"]), "label 2 is not an index"),
    "items": (lambda: Data.from_dataset(COLOURS), "item 0 of the train data set is ndarray"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, message = REFUSED[case]
    with pytest.raises(DataError) as caught:
        make()

    assert re.search(message, str(caught.value))
