"""Checks on a data set before use: broken files, empty classes, and labels and targets that teach nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import alike, listed
from toolkit.data.images import FileImages, ImageSet
from toolkit.data.survey import report_images, survey

_THREADS = 8


def drop_or_refuse_bad_files(
    splits: Mapping[str, ImageSet], skip: bool, timeout: float = 300.0, cache: Path | None = None
) -> dict[str, ImageSet]:
    """Decode every file; find those that are missing, damaged, not images, or have the wrong number of channels.

    One line reports the sizes and modes of the rest.

    Args:
        splits: Image sets by split. Of a set in memory, whose images are all alike, only the first image is read.
        skip: Drop bad files with one warning instead of raising an error.
        timeout: Give up if the file system does not respond for this many seconds.
        cache: Folder for the results, so that unchanged files are not decoded again; None: keep nothing.

    Returns:
        The images without the bad files.

    Raises:
        DataError: The file system does not respond, there are bad files and ``skip`` is False (the first ones are
            named), or the channels of a set in memory do not match.
    """
    bad: list[str] = []
    sound: dict[str, ImageSet] = dict(splits)
    on_disk = {split: images for split, images in splits.items() if isinstance(images, FileImages) and len(images)}
    for split, images in splits.items():
        if split not in on_disk and len(images):
            images.read(0)
    if not on_disk:
        return sound
    first = next(iter(on_disk.values()))
    files = [path for images in on_disk.values() for path in images.files]
    facts = survey(files, first.channels, first.decoding, timeout, cache)
    start = 0
    for split, images in on_disk.items():
        problems = [fact.problem for fact in facts[start : start + len(images)]]
        start += len(images)
        bad += [f"{path} ({problem})" for path, problem in zip(images.files, problems, strict=True) if problem]
        if any(problems):
            sound[split] = images.take(np.flatnonzero([not problem for problem in problems]))
    if bad and not skip:
        misfit = any("expected" in fact.problem for fact in facts)
        raise DataError(
            f"{len(bad)} of {len(files)} images cannot be read: {listed(bad)}",
            hint="replace or remove them, or leave them out with data.on_bad_image: skip"
            + ("; model.in_channels sets the number of channels" if misfit else ""),
        )
    report_images(files, facts, first.decoding)
    if bad:
        console.warn(f"{len(bad)} of {len(files)} images cannot be read and are left out: {listed(bad)}")
    return sound


def check_classes(classes: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Require training images for every class; warn of classes without validation or test images.

    Raises:
        DataError: There are fewer than two classes, two have the same name, a split is empty, or a class has no
            training images.
    """
    _refuse_twins(classes, "class", "classes")
    if len(classes) < 2:
        raise DataError(
            f"a classifier needs at least 2 classes, found {len(classes)}{': ' + classes[0] if classes else ''}",
            hint="check data.root and data.classes",
        )
    for split, images in splits.items():
        counts = np.bincount(images.labels, minlength=len(classes))
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
        if len(images) and (not empty or split != "train"):
            if empty:
                console.warn(f"no {split} images of {len(empty)} of {len(classes)} classes: {listed(empty)}")
            continue
        what = f"{len(empty)} of {len(classes)} classes have no {split} image: {listed(empty)}"
        raise DataError(what, hint="add images, or leave the classes out (data.classes)")


def check_columns(names: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Require unique names of labels or targets, and images in every split.

    Raises:
        DataError: There is no name, a name is repeated, or a split is empty.
    """
    _refuse_twins(names, "column", "columns")
    if not names:
        raise DataError("no column of labels or targets is left", hint="check data.classes and data.label_columns")
    for split, images in splits.items():
        if not len(images):
            raise DataError(f"the data set has no {split} images", hint="add some, or leave that split out")


def check_labels(labels: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Require a training image for every label; warn of labels that all or no images of a split have.

    Raises:
        DataError: No training image has a certain label.
    """
    for split, images in splits.items():
        counts = images.labels.sum(axis=0)
        absent = [name for name, count in zip(labels, counts, strict=True) if not count]
        if absent and split == "train":
            raise DataError(
                f"{len(absent)} of {len(labels)} labels are on no training image: {listed(absent)}",
                hint="add images, or leave the labels out (data.classes)",
            )
        if absent:
            console.warn(f"{len(absent)} of {len(labels)} labels are on no {split} image: {listed(absent)}")
        always = [name for name, count in zip(labels, counts, strict=True) if count == len(images)]
        if always:
            console.warn(f"{len(always)} of {len(labels)} labels are on every {split} image: {listed(always)}")


def check_targets(targets: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Require every target to vary over the training images.

    Raises:
        DataError: A target is constant.
    """
    constant = [
        f"{name} ({values[0]:g})"
        for name, values in zip(targets, splits["train"].labels.T, strict=True)
        if np.ptp(values) == 0
    ]
    if constant:
        raise DataError(
            f"{len(constant)} of {len(targets)} targets are the same number on all training images: {listed(constant)}",
            hint="there is nothing to learn; choose other columns (data.label_columns) or more images",
        )


def _refuse_twins(names: Sequence[str], kind: str, kinds: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"the data set names a {kind} twice: {listed(twice)}", hint=f"give every {kind} its own name")
    similar = alike(names)
    if similar:
        console.warn(
            f"{kinds} with nearly the same name are treated as different; rename them if they are not: "
            f"{listed(similar, 10)}"
        )
