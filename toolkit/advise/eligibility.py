"""Which images the probes can use, and why they may not be able to use any."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolkit.core.random import Stream, generator
from toolkit.tasks import TASKS, TaskName

LEAST_IMAGES = 8
"""With fewer images, labels are not evaluated."""
_IMAGES_A_CLASS = 5
"""With too many classes, the probes use some of them, with about this many images each."""


def why_unusable(labels: NDArray[Any], task: TaskName) -> str | None:
    """Explain why these labels cannot be evaluated; None if they can."""
    classes = TASKS[task].one_class_per_image
    if classes and len(np.unique(labels)) < 2:
        return "there is only one class"
    rows = TASKS[task].comparable(labels)
    if len(rows) < LEAST_IMAGES:
        what = "images of classes with two or more" if classes else "images"
        return f"{len(rows)} {what} are too few (expected {LEAST_IMAGES} or more)"
    return why_alike(labels[rows], task)


def why_alike(labels: NDArray[Any], task: TaskName) -> str | None:
    """Report that the images all have the same label; None if labels differ."""
    if len(np.unique(labels, axis=0)) > 1:
        return None
    if TASKS[task].one_class_per_image:
        return "only one class has two or more images"
    return f"all {len(labels)} images have the same {TASKS[task].plural}"


def some_rows(labels: NDArray[Any], rows: NDArray[np.int64], task: TaskName, most: int, seed: int) -> NDArray[np.int64]:
    """Return some of the rows, with at least two images of every class among them.

    Args:
        labels: Labels of all images.
        rows: Rows from ``Task.comparable``.
        task: What the labels are.
        most: Maximum number of rows.
        seed: Seed for the draw of classes.
    """
    if TASKS[task].one_class_per_image and len(rows) > most:
        kinds = generator(Stream.ADVICE_CLASSES, seed).permutation(np.unique(labels[rows]))
        rows = rows[np.isin(labels[rows], kinds[: max(2, most // _IMAGES_A_CLASS)])]
    rows = rows[:most]
    return rows[TASKS[task].comparable(labels[rows])]
