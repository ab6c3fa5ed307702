"""Image files with identical bytes: found once, kept together in splits, and reported."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from toolkit.core import console
from toolkit.core.names import listed
from toolkit.data.images import FileImages, ImageSet, Indices
from toolkit.data.pool import read_all

Copies: TypeAlias = Mapping[str, int]
"""An id for each file that occurs more than once; files with identical bytes share it."""

_THREADS = 8


def find_copies(splits: Mapping[str, ImageSet], timeout: float = 300.0) -> Copies:
    """Find files with identical bytes; only files of equal size are read.

    Args:
        splits: Image sets by split; sets in memory are skipped.
        timeout: Give up if the file system does not respond for this many seconds.

    Raises:
        DataError: The file system does not respond.
    """
    files = [file for images in splits.values() if isinstance(images, FileImages) for file in images.files]
    sizes = np.fromiter((size for _, size in read_all(os.path.getsize, files, _THREADS, timeout)), np.int64, len(files))
    _, inverse, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    groups: dict[bytes, list[str]] = defaultdict(list)
    candidates = [files[i] for i in np.flatnonzero(counts[inverse] > 1).tolist()]
    for file, digest in read_all(_digest, candidates, _THREADS, timeout):
        groups[digest].append(file)
    repeated = [group for group in groups.values() if len(group) > 1]
    return {file: copy_id for copy_id, group in enumerate(repeated) for file in group}


def _digest(path: str) -> bytes:
    return hashlib.sha1(Path(path).read_bytes()).digest()


def content_ids(images: ImageSet, copies: Copies) -> Indices:
    """Return an id for the content of each image, int64 ``[N]``: negative and shared by copies, else its position."""
    ids = np.arange(len(images), dtype=np.int64)
    if copies and isinstance(images, FileImages):
        for position, file in enumerate(images.files):
            if file in copies:
                ids[position] = -1 - copies[file]
    return ids


def warn_of_copies(classes: Sequence[str], splits: Mapping[str, ImageSet], copies: Copies) -> None:
    """Warn of identical files in two splits (a leak), with different labels, and in one class, one line each.

    Args:
        classes: Names of the classes, labels or targets.
        splits: Image sets by split.
        copies: The result of ``find_copies``.
    """
    groups: dict[int, list[tuple[str, str, npt.NDArray[Any]]]] = defaultdict(list)
    for split, images in splits.items():
        for position in np.flatnonzero(content_ids(images, copies) < 0).tolist():
            file = images.path(position)
            groups[copies[file]].append((file, split, np.asarray(images.labels[position])))
    leaks, contradictions, harmless = [], [], []
    for members in groups.values():
        names = f"{members[0][0]} = {members[-1][0]}"
        labels = {label.tobytes(): label for _, _, label in members}
        if len({split for _, split, _ in members}) > 1:
            leaks.append(names)
        elif len(labels) == 1:
            harmless.append(names)
        if len(labels) > 1:
            contradictions.append(
                f"{names} ({' / '.join(sorted(_in_words(classes, label) for label in labels.values()))})"
            )
    if leaks:
        console.warn(
            f"{len(leaks)} identical image(s) in training and evaluation splits inflate the result: {listed(leaks, 2)}"
        )
    rows = any(images.has_rows for images in splits.values())
    if contradictions:
        how = "with different labels" if rows else "in two classes"
        console.warn(f"{len(contradictions)} identical image(s) {how}: {listed(contradictions, 2)}")
    if harmless:
        how = "with the same labels" if rows else "in one class"
        console.warn(
            f"{len(harmless)} identical image(s) {how}; copies stay on one side of a split: {listed(harmless, 2)}"
        )


def _in_words(classes: Sequence[str], label: npt.NDArray[Any]) -> str:
    """Return the class, the labels of a row of 0 and 1, or names and values of any other row."""
    if label.ndim == 0:
        return classes[int(label)]
    pairs = list(zip(classes, label.tolist(), strict=True))
    if {value for _, value in pairs} <= {0, 1}:
        return ", ".join(name for name, value in pairs if value) or "none"
    return ", ".join(f"{name} {value:g}" for name, value in pairs)
