"""Looking at a data set before it is used: broken files, empty classes, and pictures that are there twice."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from toolkit import console
from toolkit.data.decode import defect
from toolkit.data.images import FileImages, ImageSet
from toolkit.data.naming import listed
from toolkit.errors import DataError

__all__ = ["check_classes", "drop_or_refuse_bad_files", "warn_of_duplicates"]

_THREADS = 8


def drop_or_refuse_bad_files(parts: Mapping[str, ImageSet], skip: bool) -> dict[str, ImageSet]:
    """Find files that are missing, cut off or no images.

    Args:
        parts: Image sets by part; sets in memory pass.
        skip: Leave bad files out with one warning; else refuse.

    Returns:
        The sound pictures.

    Raises:
        DataError: There are bad files and ``skip`` is False; the first ones are named.
    """
    bad: list[str] = []
    sound: dict[str, ImageSet] = {}
    total = 0
    for part, images in parts.items():
        sound[part] = images
        if not isinstance(images, FileImages):
            continue
        total += len(images)
        with ThreadPoolExecutor(_THREADS) as pool:
            found = list(pool.map(defect, images.paths))
        bad += [f"{path} ({text})" for path, text in zip(images.paths, found, strict=True) if text]
        if any(found):
            sound[part] = images.take([i for i, text in enumerate(found) if not text])
    if bad and not skip:
        raise DataError(
            f"{len(bad)} of {total} images cannot be read: {listed(bad)}",
            hint="replace or remove them, or leave them out with data.on_bad_image: skip",
        )
    if bad:
        console.warn(f"{len(bad)} of {total} images cannot be read and are left out: {listed(bad)}")
    return sound


def check_classes(classes: Sequence[str], parts: Mapping[str, ImageSet]) -> None:
    """Every class needs training pictures; one without validation or test pictures deserves a warning.

    Raises:
        DataError: Fewer than two classes, two of the same name, a part without pictures, or a class without training
            pictures.
    """
    twice = sorted({name for name in classes if classes.count(name) > 1})
    if twice:
        raise DataError(f"the data set names a class twice: {listed(twice)}", hint="give every class its own name")
    if len(classes) < 2:
        raise DataError(
            f"a classifier needs at least 2 classes, found {len(classes)}{': ' + classes[0] if classes else ''}",
            hint="check data.root and data.classes",
        )
    for part, images in parts.items():
        counts = np.bincount(images.labels, minlength=len(classes))
        empty = [name for name, count in zip(classes, counts, strict=True) if not count]
        if len(images) and (not empty or part != "train"):
            if empty:
                console.warn(f"no {part} images of {len(empty)} of {len(classes)} classes: {listed(empty)}")
            continue
        what = f"{len(empty)} of {len(classes)} classes have no {part} image: {listed(empty)}"
        raise DataError(what, hint="add images, or leave the classes out (data.classes)")


def warn_of_duplicates(classes: Sequence[str], parts: Mapping[str, ImageSet]) -> None:
    """Warn, in one line each, of byte-identical files in two parts (a leak) and in two classes."""
    owners: list[tuple[Path, str, int]] = [
        (path, part, int(label))
        for part, images in parts.items()
        if isinstance(images, FileImages)
        for path, label in zip(images.paths, images.labels, strict=True)
    ]
    leaks, contradictions = [], []
    for group in _identical(path for path, _, _ in owners):
        members = [owners[i] for i in group]
        names = f"{members[0][0]} = {members[-1][0]}"
        if len({part for _, part, _ in members}) > 1:
            leaks.append(names)
        if len({label for _, _, label in members}) > 1:
            contradictions.append(f"{names} ({' / '.join(sorted({classes[label] for _, _, label in members}))})")
    if leaks:
        console.warn(
            f"{len(leaks)} identical image(s) in training and evaluation parts flatter the result: {listed(leaks, 2)}"
        )
    if contradictions:
        console.warn(f"{len(contradictions)} identical image(s) in two classes: {listed(contradictions, 2)}")


def _identical(paths: Iterable[Path]) -> list[list[int]]:
    """Groups of positions whose files have the same bytes; only files of the same size are read."""
    files = list(paths)
    by_size: dict[int, list[int]] = defaultdict(list)
    for i, path in enumerate(files):
        by_size[path.stat().st_size].append(i)
    candidates = [i for group in by_size.values() if len(group) > 1 for i in group]
    with ThreadPoolExecutor(_THREADS) as pool:
        digests = pool.map(lambda i: hashlib.sha1(files[i].read_bytes()).digest(), candidates)
        by_content: dict[bytes, list[int]] = defaultdict(list)
        for i, digest in zip(candidates, digests, strict=True):
            by_content[digest].append(i)
    return [group for group in by_content.values() if len(group) > 1]
