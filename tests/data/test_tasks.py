"""What each task requires of data: formats, splits, checks, facts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from toolkit.config import DataConfig
from toolkit.core.errors import ConfigError, DataError
from toolkit.data import ArrayImages, BatchLoader, DataBundle, FileImages, Preprocessing, build_data
from toolkit.data.formats.registry import FORMATS, formats_for
from toolkit.tasks import TASKS

MakeFolder = Callable[..., Path]


@pytest.fixture
def root(make_folder: MakeFolder) -> Path:
    return make_folder({"jpg": 40}, "vectors")


def write(root: Path, rows: list[str], name: str = "train_list.txt", start: int = 0) -> None:
    lines = [f"jpg/{start + i:03d}.jpg\t{row}" for i, row in enumerate(rows)]
    (root / name).write_text("\n".join(lines), encoding="utf-8")


def build(root: Path, task: Any, **values: object) -> DataBundle:
    return build_data(DataConfig.model_validate({"format": "list", "root": root, **values}), task)


def test_every_task_has_a_format_and_classification_has_all() -> None:
    assert formats_for("classification") == tuple(FORMATS)
    assert formats_for("multilabel") == ("list", "csv")
    assert formats_for("regression") == ("list", "csv", "digits")
    assert all(set(facts.readers) <= set(TASKS) for facts in FORMATS.values())


@pytest.mark.parametrize("format", ["folder", "cub200", "cifar10", "mnist", "flowers102"])
def test_a_format_unsuited_to_a_task_names_those_that_suit(format: str) -> None:
    with pytest.raises(ConfigError, match=rf"{format} is for classification, not for multilabel.*list, csv"):
        build_data(DataConfig.model_validate({"format": format}), "multilabel")
    with pytest.raises(ConfigError, match="digits is for classification and regression, not for multilabel"):
        build_data(DataConfig(format="digits"), "multilabel")


def test_digits_as_numbers() -> None:
    data = build_data(DataConfig(format="digits"), "regression")
    assert (data.classes, data.task) == (("digit",), "regression")
    assert (data.train.labels.dtype, data.train.labels.shape[1]) == (np.float32, 1)
    assert len(data.train) + len(data.val) == 1797
    assert abs(len(data.val) - 0.2 * 1797) <= 3
    share = [np.mean(data.val.labels == digit) / np.mean(data.train.labels == digit) for digit in range(10)]
    assert np.abs(np.array(share) - 1).max() < 0.06
    mean, std = data.target_statistics()
    assert abs(mean[0] - 4.49) < 0.05
    assert abs(std[0] - 2.87) < 0.05


def test_multilabel_list_as_paddleclas_writes_it(root: Path) -> None:
    write(root, [f"{i % 2},{int(i % 3 == 0)},1" for i in range(30)])
    (root / "labels.txt").write_text("cat\ndog\nanimal\n")
    data = build(root, "multilabel", label_file="labels.txt")
    assert data.classes == ("cat", "dog", "animal")
    assert (data.train.labels.dtype, data.train.labels.shape[1]) == (np.float32, 3)
    assert [data.counts()[part]["animal"] for part in ("train", "val")] == [24, 6]
    assert data.counts()["val"]["cat"] == 3
    assert data.counts()["val"]["dog"] == 2
    assert build(root, "multilabel").classes == ("0", "1", "2")


def test_regression_list(root: Path) -> None:
    write(root, [f"{i / 10},{100 - i}" for i in range(20)])
    write(root, ["7,8"], "val_list.txt", start=30)
    data = build(root, "regression")
    assert data.classes == ("0", "1")
    assert data.train.labels[3].tolist() == pytest.approx([0.3, 97])
    assert data.val.labels.tolist() == [[7, 8]]
    (root / "train_list.txt").write_text("'jpg/000.jpg' -1.5e2\njpg/001.jpg 2\n")
    (root / "val_list.txt").write_text("jpg/002.jpg 3\n")
    data = build(root, "regression")
    assert (data.classes, data.train.labels.tolist()) == (("target",), [[-150], [2]])


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("multilabel", "0,1,0", r"train_list\.txt:3: 3 number\(s\), but .*train_list\.txt begins with 2"),
        ("multilabel", "0,2", r"train_list\.txt:3: expected 'path 0,1,0,1'.*'2' is not 0 or 1"),
        ("multilabel", "0,", r"train_list\.txt:3: .*'' is not 0 or 1"),
        ("regression", "1,nan", r"train_list\.txt:3: .*'nan' is not a finite number"),
        ("regression", "1,old", r"train_list\.txt:3: .*'old' is not a number"),
        ("regression", "1;2", r"train_list\.txt:3: .*'1;2' is not a number"),
    ],
)
def test_wrong_lines_are_named(root: Path, task: str, row: str, message: str) -> None:
    write(root, ["0,1", "1,0", row, "1,1"])
    with pytest.raises(DataError, match=message):
        build(root, task)


def test_other_wrong_files(root: Path) -> None:
    (root / "train_list.txt").write_text("jpg/000.jpg\n")
    with pytest.raises(DataError, match=r"train_list\.txt:1: expected 'path 1\.5 or 1\.5,2', got 'jpg/000\.jpg'"):
        build(root, "regression")
    (root / "train_list.txt").write_text("\n")
    with pytest.raises(DataError, match=r"lists no images"):
        build(root, "regression")
    write(root, ["0,1", "1,0"])
    (root / "labels.txt").write_text("a\nb\nc\n")
    with pytest.raises(DataError, match=r"labels\.txt has 3 name\(s\), but a line of the lists has 2"):
        build(root, "multilabel", label_file="labels.txt")
    (root / "labels.txt").write_text("a\na\n")
    with pytest.raises(DataError, match=r"names a column twice: a"):
        build(root, "multilabel", label_file="labels.txt")


def test_chosen_labels_keep_all_images(root: Path) -> None:
    write(root, [f"{i % 2},{int(i % 3 == 0)},{int(i % 5 == 0)}" for i in range(30)])
    data = build(root, "multilabel", classes=["2", "0"])
    assert data.classes == ("2", "0")
    assert len(data.train) + len(data.val) == 30
    assert sum(counts["2"] for counts in data.counts().values()) == 6


def test_a_label_that_one_image_has_is_learned_and_missed_aloud(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, [f"{i % 2},{int(i == 3)}" for i in range(30)])
    data = build(root, "multilabel")
    assert (data.counts()["train"]["1"], data.counts()["val"]["1"]) == (1, 0)
    assert "1 of 2 labels are on no val image: 1" in capsys.readouterr().err


def test_uninformative_labels(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(root, [f"{i % 2},1" for i in range(30)])
    build(root, "multilabel")
    assert "1 of 2 labels are on every train image: 1" in capsys.readouterr().err
    write(root, [f"{i % 2},0" for i in range(30)])
    with pytest.raises(DataError, match="1 of 2 labels are on no training image: 1"):
        build(root, "multilabel")


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_too_few_images(root: Path, task: str) -> None:
    write(root, ["0,1"])
    with pytest.raises(DataError, match="too few to split into 2 splits"):
        build(root, task)
    for file in (root / "jpg").iterdir():
        file.write_bytes(b"")
    with pytest.raises(DataError, match="no train images"):
        build(root, task, on_bad_image="skip")


def test_samples_per_class(root: Path) -> None:
    write(root, [f"{i % 2},{int(i % 4 == 0)}" for i in range(40)])
    whole = build(root, "multilabel")
    few = build(root, "multilabel", samples_per_class=3)
    assert few.counts()["val"] == whole.counts()["val"]
    unlabelled = int((~few.train.labels.any(axis=1)).sum())
    assert (few.counts()["train"], unlabelled) == ({"0": 3, "1": 3}, 3)
    with pytest.raises(ConfigError, match="samples_per_class counts the images of a class, and regression has none"):
        build(root, "regression", samples_per_class=3)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_the_same_config_gives_the_same_data(root: Path, task: str) -> None:
    write(root, [f"{i % 2},{int(i % 3 == 0)}" for i in range(30)])
    first = build(root, task).fingerprint()
    assert build(root, task).fingerprint() == first
    assert build(root, task, split_seed=1).fingerprint() != first
    assert build(root, task, classes=["1", "0"]).fingerprint() != first


def test_fingerprint_sees_small_changes_of_a_target(root: Path) -> None:
    paths = sorted((root / "jpg").iterdir())[:2]
    values = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    first = FileImages(paths, values).fingerprint()
    values[1, 1] = np.nextafter(np.float32(4), np.float32(5))
    assert FileImages(paths, values).fingerprint() != first
    pixels = np.zeros((2, 2, 2), np.uint8)
    assert len({ArrayImages(pixels, values + i, "x").fingerprint() for i in range(2)}) == 2


def test_identical_files_with_different_labels_are_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(root / "jpg/000.jpg", root / "jpg/001.jpg")
    shutil.copy(root / "jpg/002.jpg", root / "jpg/003.jpg")
    write(root, ["0,1", "1,1", "1,0", "1,0"])
    write(root, ["1,0", "0,1"], "val_list.txt", start=8)
    build(root, "multilabel")
    _, different, same = capsys.readouterr().err.splitlines()
    assert "1 identical image(s) with different labels" in different
    assert "(0, 1 / 1)" in different
    assert "1 identical image(s) with the same labels" in same
    write(root, ["0.5,1", "0.25,1", "1,0", "1,0"])
    build(root, "regression")
    assert "(0 0.25, 1 1 / 0 0.5, 1 1)" in capsys.readouterr().err


def test_batches_carry_rows(root: Path) -> None:
    write(root, [f"{i},{i * i}" for i in range(30)])
    data = build(root, "regression")
    for batch in BatchLoader(data.train, Preprocessing(16), batch_size=8, shuffle=True, workers=2):
        assert batch.labels.dtype == np.float32
        assert np.array_equal(batch.labels, data.train.labels[batch.indices])
        assert np.allclose(batch.labels[:, 0] ** 2, batch.labels[:, 1])


def test_only_a_regression_has_targets() -> None:
    data = build_data(DataConfig(format="digits"))
    for method in (data.target_statistics, data.describe_targets):
        with pytest.raises(ValueError, match="classification"):
            method()
