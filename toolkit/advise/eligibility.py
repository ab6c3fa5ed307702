"""Which images probes can use, and why they can use none."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.random import Stream, generator
from toolkit.tasks import TASKS, TaskName

LEAST_IMAGES = 8
"""With fewer, nothing is said of labels."""
_IMAGES_A_CLASS = 5
"""Of more classes than there is room for, the probes take some, each with about so many images."""


def why_unusable(labels: NDArray[Any], task: TaskName) -> str | None:
    """Why nothing can be said of these labels; None where something can."""
    classes = TASKS[task].one_class_per_image
    if classes and len(np.unique(labels)) < 2:
        return "there is one class only"
    rows = TASKS[task].comparable(labels)
    if len(rows) < LEAST_IMAGES:
        what = "images of classes with two or more" if classes else "images"
        return f"{len(rows)} {what} are too few (expected {LEAST_IMAGES} or more)"
    return why_alike(labels[rows], task)


def why_alike(labels: NDArray[Any], task: TaskName) -> str | None:
    """That these images do not differ in their labels; None where they do."""
    if len(np.unique(labels, axis=0)) > 1:
        return None
    if TASKS[task].one_class_per_image:
        return "only one class has two images or more"
    return f"all {len(labels)} images have the same {TASKS[task].plural}"


def some_rows(labels: NDArray[Any], rows: NDArray[np.int64], task: TaskName, most: int, seed: int) -> NDArray[np.int64]:
    """Some of the rows, with two images at least of every class that is among them.

    Args:
        labels: Of all images.
        rows: Those of ``Task.comparable``.
        task: What the labels are.
        most: Rows at most.
        seed: Of the draw of classes.
    """
    if TASKS[task].one_class_per_image and len(rows) > most:
        kinds = generator(Stream.ADVICE_CLASSES, seed).permutation(np.unique(labels[rows]))
        rows = rows[np.isin(labels[rows], kinds[: max(2, most // _IMAGES_A_CLASS)])]
    rows = rows[:most]
    return rows[TASKS[task].comparable(labels[rows])]
