"""Splits of images that have several labels, or numbers: every part gets its share of each label, or of each range.

Iterative stratification after Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (ECML PKDD
2011, algorithm 1): the rarest label is dealt first, each image to the part that lacks this label most. Numbers are
dealt the same way, with the quantile range of each target as its label. Copies of an image are dealt with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DataError
from toolkit.core.random import Stream, generator
from toolkit.data.duplicates import Copies, content_numbers
from toolkit.data.images import ImageSet, Indices
from toolkit.data.split import copies_last, wanted_parts

_MOST_BINS = 10
_LEAST_IN_BIN = 2  # images of a bin that each drawn part gets


def split_by_labels(
    parts: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """Take what is missing, validation and (if wanted) test, from the training part of a multilabel set.

    Args:
        parts: ``train``, and ``val`` and ``test`` where the data set has them.
        classes: Names of the labels; not used, every split takes them.
        val_fraction: Share of each label's images for validation, in (0, 1).
        test_fraction: The same for the test, in [0, 1); 0: no test set is made.
        seed: Seed of the draw.
        copies: Files that are there more than once.

    Returns:
        All parts.

    Raises:
        DataError: Too few images.
    """
    missing = wanted_parts(parts, val_fraction, test_fraction)
    return _split(parts, parts["train"].labels > 0, missing, seed, copies or {})


def split_by_targets(
    parts: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """The same for a regression set: every part has its share of the low, middle and high values of each target.

    Args:
        parts: ``train``, and ``val`` and ``test`` where the data set has them.
        classes: Names of the targets; not used, every split takes them.
        val_fraction: Share of the images for validation, in (0, 1).
        test_fraction: The same for the test, in [0, 1); 0: no test set is made.
        seed: Seed of the draw.
        copies: Files that are there more than once.

    Returns:
        All parts.

    Raises:
        DataError: Too few images.
    """
    missing = wanted_parts(parts, val_fraction, test_fraction)
    labels = parts["train"].labels
    smallest = min(missing.values(), default=1.0)
    bins = min(_MOST_BINS, max(1, int(len(labels) * smallest / _LEAST_IN_BIN)))
    columns = [quantile_bins(column, bins) for column in labels.T]
    return _split(parts, np.concatenate(columns, axis=1), missing, seed, copies or {})


def quantile_bins(values: npt.NDArray[np.floating], bins: int) -> npt.NDArray[np.bool_]:
    """Which range of equally many values each value is in.

    Args:
        values: One target, ``[N]``.
        bins: Wanted number of ranges, >= 1; equal values are never torn apart, so there may be fewer. As few
            different values are ranges of their own.

    Returns:
        bool ``[N, B]`` with one True a row, B <= bins.
    """
    edges = np.unique(values)
    if len(edges) > bins:
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))
    number = np.searchsorted(edges, values)
    return np.asarray(number[:, None] == np.unique(number), np.bool_)


def limit_per_label(
    images: ImageSet, classes: Sequence[str], most: int, seed: int, copies: Copies | None = None
) -> ImageSet:
    """Keep an image, in random order, while one of its labels has fewer than so many; unlabelled ones count as a label.

    A label comes out with more when its images were kept for the sake of a rarer one.

    Args:
        images: The training set.
        classes: Names of the labels; not used, every limit takes them.
        most: Images a label, >= 1.
        seed: Seed of the draw.
        copies: Files that are there more than once; a copy comes after all different images.
    """
    labels = images.labels > 0
    rows = np.hstack([labels, ~labels.any(axis=1, keepdims=True)])
    have = np.zeros(rows.shape[1], np.int64)
    kept = []
    order = generator(Stream.SUBSET, seed).permutation(len(rows))
    for index in copies_last(order, content_numbers(images, copies or {})):
        if (have[rows[index]] < most).any():
            have += rows[index]
            kept.append(int(index))
    return images.take(sorted(kept))


def _split(
    parts: Mapping[str, ImageSet],
    rows: npt.NDArray[np.bool_],
    missing: Mapping[str, float],
    seed: int,
    copies: Copies,
) -> dict[str, ImageSet]:
    if not missing:
        return dict(parts)
    whole = parts["train"]
    sizes = {part: max(1, round(share * len(whole))) for part, share in missing.items()}
    sizes = {"train": len(whole) - sum(sizes.values()), **sizes}
    shares = np.array(list(sizes.values())) / max(1, len(whole))
    _, first, group = np.unique(content_numbers(whole, copies), return_index=True, return_inverse=True)
    first, number = np.unique(first, return_index=True)  # groups of copies in the order of their first ones
    group = np.argsort(number)[group]
    counts = np.zeros((len(first), rows.shape[1]), np.int64)
    np.add.at(counts, group, rows)
    rng = generator(Stream.SPLIT, seed)
    owner = _deal(counts, np.bincount(group), shares, rng)[group] if sizes["train"] > 0 else np.zeros(0)
    members = {part: np.flatnonzero(owner == number) for number, part in enumerate(sizes)}
    if any(not len(indices) for indices in members.values()):
        raise DataError(
            f"{len(whole)} images, or those of each label, are too few to split into {len(sizes)} parts "
            f"({', '.join(sizes)})",
            hint="add images, or make the split yourself",
        )
    return {**parts, **{part: whole.take(indices) for part, indices in members.items()}}


def _deal(
    rows: npt.NDArray[np.int64], sizes: Indices, shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> Indices:
    """The part of each image, or group of copies.

    Args:
        rows: How many images of each group have each label, ``[N, C]``.
        sizes: Images of each group, ``[N]``.
        shares: Share of each part, ``[P]``, sum 1.
        rng: Decides ties.

    Returns:
        Positions in ``shares``, ``[N]``.
    """
    total = int(sizes.sum())
    lacking = shares[:, None] * rows.sum(axis=0)  # of each label, by part
    room = shares * total
    owner = np.full(len(rows), -1, np.int64)
    order = rng.permutation(len(rows))
    order = order[np.argsort(-sizes[order], kind="stable")]  # small groups, dealt last, level what large ones did

    def give(index: int, lack: npt.NDArray[np.float64]) -> None:
        part = np.lexsort((rng.random(len(shares)), room.round(9), lack.round(9)))[-1]
        owner[index] = part
        lacking[part] -= rows[index]
        room[part] -= sizes[index]

    while True:
        left = rows[owner < 0].sum(axis=0)
        if not left.any():
            break
        rarest = int(np.where(left > 0, left, total + 1).argmin())
        for index in order[(owner[order] < 0) & (rows[order, rarest] > 0)]:
            give(int(index), lacking[:, rarest])
    for index in order[owner[order] < 0]:
        give(int(index), room)
    return owner
