"""Copies of an image: found, reported, and on one side of every split."""

from __future__ import annotations

import hashlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toolkit.data.duplicates
from toolkit.config import DataConfig
from toolkit.core.errors import DataError
from toolkit.data import ArrayImages, FileImages, ImageSet, build_data
from toolkit.data.split import limit_per_class, split_by_class
from toolkit.data.stratify import limit_per_label, split_by_labels, split_by_targets

MakeFolder = Callable[..., Path]
NAMES = ("a", "b", "c")


def sides(parts: Mapping[str, ImageSet], copies: Mapping[str, int]) -> dict[int, set[str]]:
    """Return the splits of each image that has copies."""
    found: dict[int, set[str]] = defaultdict(set)
    for part, images in parts.items():
        for position in range(len(images)):
            if images.path(position) in copies:
                found[copies[images.path(position)]].add(part)
    return found


def made(labels: Any, copied: int, seed: int) -> tuple[FileImages, dict[str, int]]:
    """Files that do not exist, some of them copies of others."""
    files = [f"{number}.jpg" for number in range(len(labels))]
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(files))[:copied]
    return FileImages(files, labels), {files[i]: number // 3 for number, i in enumerate(chosen)}


@pytest.mark.parametrize("seed", range(5))
def test_copies_stay_on_one_side_and_shares_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    classes, rows = rng.integers(0, 3, 120), (rng.random((120, 4)) < 0.3).astype(np.float32)
    for split, labels in (
        (split_by_class, classes),
        (split_by_labels, rows),
        (split_by_targets, rng.normal(size=(120, 2)).astype(np.float32)),
    ):
        whole, copies = made(labels, 45, seed)
        parts = split({"train": whole}, NAMES, 0.2, 0.15, seed, copies)
        assert all(len(where) == 1 for where in sides(parts, copies).values())
        assert sorted(images.path(i) for images in parts.values() for i in range(len(images))) == sorted(whole.files)
        assert abs(len(parts["val"]) - 24) <= 3
        assert abs(len(parts["test"]) - 18) <= 3


def test_an_image_in_two_classes_goes_to_training() -> None:
    whole = FileImages([f"{i}.jpg" for i in range(24)], np.arange(24) % 3)
    copies = {f"{i}.jpg": i // 3 for i in range(12)}  # each is in all three classes
    for seed in range(5):
        parts = split_by_class({"train": whole}, NAMES, 0.25, 0, seed, copies)
        assert set(sides(parts, copies)) == {0, 1, 2, 3}
        assert all(where == {"train"} for where in sides(parts, copies).values())
        assert np.bincount(parts["val"].labels).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("groups", "shares", "message"),
    [
        ([2], (0.5, 0.0), r"2 splits \(train, val\): a \(2, 1 different\)"),
        ([3, 3], (0.2, 0.2), r"a \(6, 2 different\)"),
        ([4, 4], (0.2, 0.0), None),
        ([5, 1], (0.2, 0.0), None),
        ([3, 3, 3], (0.1, 0.1), None),
        ([9, 1, 1], (0.4, 0.4), None),
    ],
)
def test_every_part_gets_an_image_of_small_classes(
    groups: list[int], shares: tuple[float, float], message: str | None
) -> None:
    contents = np.repeat(np.arange(len(groups)), groups)
    whole = FileImages([f"{i}.jpg" for i in range(len(contents))], np.zeros(len(contents)))
    copies = {f"{i}.jpg": int(c) for i, c in enumerate(contents) if groups[c] > 1}
    for seed in range(4):
        if message:
            with pytest.raises(DataError, match=message):
                split_by_class({"train": whole}, "a", *shares, seed, copies)
            continue
        parts = split_by_class({"train": whole}, "a", *shares, seed, copies)
        assert all(len(images) for images in parts.values())
        assert all(len(where) == 1 for where in sides(parts, copies).values())


def test_limits_take_different_images_first() -> None:
    files = [f"{i}.jpg" for i in range(20)]
    copies = {f"{i}.jpg": 0 for i in range(10)}
    for seed in range(5):
        one = limit_per_class(FileImages(files, np.zeros(20)), "a", 11, seed, copies)
        many = limit_per_label(FileImages(files, np.ones((20, 1), np.float32)), "a", 11, seed, copies)
        assert sum(file in copies for file in one.files) == 1
        assert sum(many.path(i) in copies for i in range(len(many))) == 1
        assert set(one.files) < set(limit_per_class(FileImages(files, np.zeros(20)), "a", 12, seed, copies).files)


def test_splits_of_different_images_are_what_they_were() -> None:
    def digest(images: ImageSet) -> str:
        return hashlib.sha256(" ".join(images.path(i) for i in range(len(images))).encode()).hexdigest()[:12]

    def images(labels: Any) -> dict[str, ImageSet]:
        rows = labels.astype(np.float32) if labels.ndim == 2 else labels
        return {"train": ArrayImages(np.zeros((len(labels), 2, 2), np.uint8), rows, "x")}

    rng = np.random.default_rng(5)
    classes, rows = images(rng.integers(0, 3, 200)), images(rng.random((200, 6)) < [0.5, 0.3, 0.1, 0.05, 0.2, 0.4])
    numbers = images(rng.lognormal(size=(200, 2)))
    drawn = [
        *split_by_class(classes, NAMES, 0.2, 0.15, 3).values(),
        limit_per_class(classes["train"], NAMES, 17, 3),
        *split_by_labels(rows, (), 0.2, 0.15, 3).values(),
        limit_per_label(rows["train"], (), 17, 3),
        *split_by_targets(numbers, (), 0.2, 0.15, 3).values(),
    ]
    assert [digest(part) for part in drawn] == [
        "91f929d55771", "bcdbd6399293", "9e3d7a8edce7", "ac96cce72fec", "c9cbda008ba8", "c46efad4400b", "1045c222793e",
        "420bb97cb350", "bbd92e1240f3", "011a68721955", "18fc8b97d7a9",
    ]  # fmt: skip


def test_a_folder_of_copies_does_not_leak_and_is_read_once(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_folder({"a": 6, "b": 6})
    for name in ("a", "b"):
        for number in range(3):
            shutil.copy(root / f"{name}/00{number}.jpg", root / f"{name}/copy {number}.jpg")
    shutil.copy(root / "a/005.jpg", root / "b/wrong.jpg")
    read: list[str] = []
    real = toolkit.data.duplicates._digest
    monkeypatch.setattr("toolkit.data.duplicates._digest", lambda path: (read.append(path), real(path))[1])
    for seed in range(4):
        read.clear()
        data = build_data(DataConfig(root=root, split_seed=seed, test_fraction=0.2))
        assert len(read) == len(set(read))
        where: dict[bytes, set[str]] = defaultdict(set)
        for part, images in data.splits.items():
            for i in range(len(images)):
                where[Path(images.path(i)).read_bytes()].add(part)
        assert len(where) == 12
        assert all(len(parts) == 1 for parts in where.values())
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 3
        assert "1 identical image(s) in two classes" in said[1]
        assert "6 identical image(s) in one class" in said[2]
