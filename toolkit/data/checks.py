"""Looking at a data set before it is used: broken files, empty classes, labels and targets that teach nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.core import console
from toolkit.core.errors import DataError
from toolkit.core.names import alike, listed
from toolkit.data.images import FileImages, ImageSet
from toolkit.data.survey import say_what_they_are, survey

_THREADS = 8


def drop_or_refuse_bad_files(
    splits: Mapping[str, ImageSet], skip: bool, timeout: float = 300.0, cache: Path | None = None
) -> dict[str, ImageSet]:
    """Decode every file; find those that are missing, damaged, no images, or images with another number of channels.

    What the others are (sizes, modes) is said in one line.

    Args:
        splits: Image sets by part; of a set in memory, whose images are all alike, the first one is read.
        skip: Leave bad files out with one warning; else refuse.
        timeout: Seconds without an answer of the file system after which to give up.
        cache: Folder to keep what was found, so that unchanged files are not decoded again; None: nothing is kept.

    Returns:
        The sound pictures.

    Raises:
        DataError: The file system does not answer, there are bad files and ``skip`` is False (the first ones are
            named), or the channels of a set in memory do not fit.
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
    say_what_they_are(files, facts, first.decoding)
    if bad:
        console.warn(f"{len(bad)} of {len(files)} images cannot be read and are left out: {listed(bad)}")
    return sound


def check_classes(classes: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Every class needs training pictures; one without validation or test pictures deserves a warning.

    Raises:
        DataError: Fewer than two classes, two of the same name, a part without pictures, or a class without training
            pictures.
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
    """Labels or targets need names of their own, and every part needs pictures.

    Raises:
        DataError: No name, two of the same, or a part without pictures.
    """
    _refuse_twins(names, "column", "columns")
    if not names:
        raise DataError("no column of labels or targets is left", hint="check data.classes and data.label_columns")
    for split, images in splits.items():
        if not len(images):
            raise DataError(f"the data set has no {split} images", hint="add some, or leave that part out")


def check_labels(labels: Sequence[str], splits: Mapping[str, ImageSet]) -> None:
    """Every label needs a training picture that has it; one that all or no pictures of a part have deserves a warning.

    Raises:
        DataError: A label that no training picture has.
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
    """Every target must vary over the training pictures.

    Raises:
        DataError: A target that is always the same.
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
            f"{kinds} whose names hardly differ count apart; if they are one, rename them: {listed(similar, 10)}"
        )
