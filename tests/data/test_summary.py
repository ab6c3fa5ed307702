"""The summary table of a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from rich.console import Console

from toolkit.data import ArrayImages, DataBundle
from toolkit.data.summary import data_table
from toolkit.tasks import TaskName


def images(labels: Any) -> ArrayImages:
    given = np.asarray(labels)
    rows = given.astype(np.float32) if given.ndim == 2 else given
    return ArrayImages(np.zeros((len(given), 2, 2), np.uint8), rows, "x")


def shown(train: Any, val: Any, classes: tuple[str, ...], task: TaskName = "classification") -> list[str]:
    """Lines of the table at 80 columns, words by single spaces."""
    console = Console(width=80, color_system=None)
    with console.capture() as capture:
        console.print(data_table(DataBundle(images(train), images(val), None, classes, task=task)))
    lines = capture.get().splitlines()
    assert all(len(line) <= 80 for line in lines)
    return [" ".join(line.replace("│", " ").split()) for line in lines]


def test_every_class_has_its_counts() -> None:
    lines = shown([0] * 1200 + [1] * 30, [0] * 40, ("cat", "[red]dog[/red]"))
    assert lines[0] == "data: 2 classes"
    assert {"cat 1,200 40", "[red]dog[/red] 30 0", "all images 1,230 40"} <= set(lines)


def test_long_names_are_whole() -> None:
    names = ("鸟类" * 50, "a_long_name_" * 12 + "1", "a_long_name_" * 12 + "2", "two\nlines")
    lines = shown([0, 1, 2, 3], [0, 1, 2, 3], names)
    text = "".join(line.replace(" 1 1", "") for line in lines)
    assert all(name in text for name in names[:3])
    assert "two\\nlines 1 1" in lines


def test_many_classes_are_folded() -> None:
    classes = tuple(f"class {i}" for i in range(100))
    lines = shown(np.repeat(np.arange(100), np.arange(1, 101)), np.arange(100), classes)
    assert len([line for line in lines if line.startswith("class ") and line != "class train val"]) == 20
    assert "... 80 more rows" in lines
    assert "train: 1 (class 0) to 100 (class 99)" in " ".join(lines)
    assert not [line for line in shown(np.arange(20), np.arange(20), classes[:20]) if "more" in line]


def test_labels_and_targets() -> None:
    lines = shown([[1, 0], [1, 1], [0, 0]], [[1, 1]], ("sky", "sea"), "multilabel")
    assert {"sky 2 1", "sea 1 1", "(none of them) 1 0", "all images 3 1"} <= set(lines)
    lines = shown([[1.5, -1], [2.5, 1]], [[4, 100]], ("weight in kg", "x"), "regression")
    assert {"weight in kg train 2 2 1.5 2.5", "x train 2 0 -1 1", "weight in kg val 1 4 4 4"} <= set(lines)


@pytest.mark.parametrize("task", ["multilabel", "regression"])
def test_many_columns_are_folded(task: TaskName) -> None:
    values = np.random.default_rng(0).integers(0, 2, (50, 60))
    lines = shown(values, values[:5], tuple(f"name {i}" for i in range(60)), task)
    assert len([line for line in lines if line.startswith("name ")]) <= 20
    assert [line for line in lines if "more rows" in line]
