"""Stratified splits of images with several labels, or with targets: every split gets its share of each.

Iterative stratification after Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data" (ECML PKDD
2011, algorithm 1): the rarest label is dealt first, each image to the split that needs this label most. Targets are
dealt in the same way, with the quantile range of each target as its label. Copies of an image stay with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from toolkit.core.errors import DataError
from toolkit.core.random import Stream, generator
from toolkit.data.duplicates import Copies, content_ids
from toolkit.data.images import ImageSet, Indices
from toolkit.data.split import copies_last, missing_splits

_MOST_BINS = 10
_LEAST_IN_BIN = 2  # images of a bin for each drawn split


def split_by_labels(
    splits: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """Draw missing splits, validation and (if requested) test, from the training split of a multilabel set.

    Args:
        splits: ``train``, and ``val`` and ``test`` if the data set provides them.
        classes: Names of the labels; not used, but part of the signature.
        val_fraction: Fraction of each label's images for validation, in (0, 1).
        test_fraction: The same for testing, in [0, 1); 0: no test split.
        seed: Seed of the draw.
        copies: Files that occur more than once.

    Returns:
        All splits.

    Raises:
        DataError: There are too few images.
    """
    missing = missing_splits(splits, val_fraction, test_fraction)
    return _split(splits, splits["train"].labels > 0, missing, seed, copies or {})


def split_by_targets(
    splits: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """Do the same for a regression set: every split gets its share of low, middle and high values of each target.

    Args:
        splits: ``train``, and ``val`` and ``test`` if the data set provides them.
        classes: Names of the targets; not used, but part of the signature.
        val_fraction: Fraction of the images for validation, in (0, 1).
        test_fraction: The same for testing, in [0, 1); 0: no test split.
        seed: Seed of the draw.
        copies: Files that occur more than once.

    Returns:
        All splits.

    Raises:
        DataError: There are too few images.
    """
    missing = missing_splits(splits, val_fraction, test_fraction)
    labels = splits["train"].labels
    smallest = min(missing.values(), default=1.0)
    bins = min(_MOST_BINS, max(1, int(len(labels) * smallest / _LEAST_IN_BIN)))
    columns = [quantile_bins(column, bins) for column in labels.T]
    return _split(splits, np.concatenate(columns, axis=1), missing, seed, copies or {})


def quantile_bins(values: npt.NDArray[np.floating], bins: int) -> npt.NDArray[np.bool_]:
    """Assign each value to one of several ranges with equally many values.

    Args:
        values: One target, ``[N]``.
        bins: Requested number of ranges, >= 1; equal values stay together, so there may be fewer. If there are at most
            ``bins`` different values, each has its own range.

    Returns:
        bool ``[N, B]`` with one True per row, B <= bins.
    """
    edges = np.unique(values)
    if len(edges) > bins:
        edges = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="lower"))
    index = np.searchsorted(edges, values)
    return np.asarray(index[:, None] == np.unique(index), np.bool_)


def limit_per_label(
    images: ImageSet, classes: Sequence[str], most: int, seed: int, copies: Copies | None = None
) -> ImageSet:
    """Go through the images in random order, and keep those with a label that has fewer than ``most`` images so far.

    "No label" counts as a label. A label may end up with more images if they were kept for a rarer label.

    Args:
        images: The training set.
        classes: Names of the labels; not used, but part of the signature.
        most: Images per label, >= 1.
        seed: Seed of the draw.
        copies: Files that occur more than once; copies come after all different images.
    """
    labels = images.labels > 0
    rows = np.hstack([labels, ~labels.any(axis=1, keepdims=True)])
    have = np.zeros(rows.shape[1], np.int64)
    kept = []
    order = generator(Stream.SUBSET, seed).permutation(len(rows))
    for index in copies_last(order, content_ids(images, copies or {})):
        if (have[rows[index]] < most).any():
            have += rows[index]
            kept.append(int(index))
    return images.take(sorted(kept))


def folds_by_labels(
    images: ImageSet, classes: Sequence[str], folds: int, seed: int, copies: Copies | None = None
) -> Indices:
    """Assign images of a multilabel set to folds; see ``folds_by_class``. Every image is in a fold."""
    return _folds(images, images.labels > 0, folds, seed, copies or {})


def folds_by_targets(
    images: ImageSet, classes: Sequence[str], folds: int, seed: int, copies: Copies | None = None
) -> Indices:
    """Assign images of a regression set to folds; see ``folds_by_class``. Every image is in a fold."""
    bins = min(_MOST_BINS, max(1, len(images) // (folds * _LEAST_IN_BIN)))
    rows = np.concatenate([quantile_bins(column, bins) for column in images.labels.T], axis=1)
    return _folds(images, rows, folds, seed, copies or {})


def _folds(images: ImageSet, rows: npt.NDArray[np.bool_], folds: int, seed: int, copies: Copies) -> Indices:
    return _dealt(images, rows, np.full(folds, 1 / folds), generator(Stream.FOLDS, seed), copies)


def _dealt(
    images: ImageSet,
    rows: npt.NDArray[np.bool_],
    shares: npt.NDArray[np.float64],
    rng: np.random.Generator,
    copies: Copies,
) -> Indices:
    """Assign images to parts by their shares, copies together, int64 ``[N]``."""
    _, first, group = np.unique(content_ids(images, copies), return_index=True, return_inverse=True)
    first, index = np.unique(first, return_index=True)  # groups of copies, ordered by their first members
    group = np.argsort(index)[group]
    counts = np.zeros((len(first), rows.shape[1]), np.int64)
    np.add.at(counts, group, rows)
    return _deal(counts, np.bincount(group), shares, rng)[group]


def _split(
    splits: Mapping[str, ImageSet],
    rows: npt.NDArray[np.bool_],
    missing: Mapping[str, float],
    seed: int,
    copies: Copies,
) -> dict[str, ImageSet]:
    if not missing:
        return dict(splits)
    whole = splits["train"]
    sizes = {split: max(1, round(share * len(whole))) for split, share in missing.items()}
    sizes = {"train": len(whole) - sum(sizes.values()), **sizes}
    shares = np.array(list(sizes.values())) / max(1, len(whole))
    rng = generator(Stream.SPLIT, seed)
    owner = _dealt(whole, rows, shares, rng, copies) if sizes["train"] > 0 else np.zeros(0)
    members = {split: np.flatnonzero(owner == index) for index, split in enumerate(sizes)}
    if any(not len(indices) for indices in members.values()):
        raise DataError(
            f"{len(whole)} images, or those of each label, are too few to split into {len(sizes)} splits "
            f"({', '.join(sizes)})",
            hint="add images, or make the split yourself",
        )
    return {**splits, **{split: whole.take(indices) for split, indices in members.items()}}


def _deal(
    rows: npt.NDArray[np.int64], sizes: Indices, shares: npt.NDArray[np.float64], rng: np.random.Generator
) -> Indices:
    """Assign each image, or group of copies, to a split.

    Args:
        rows: Number of images of each group with each label, ``[N, C]``.
        sizes: Number of images in each group, ``[N]``.
        shares: Share of each split, ``[P]``, sum 1.
        rng: Breaks ties.

    Returns:
        Positions in ``shares``, ``[N]``.
    """
    total = int(sizes.sum())
    lacking = shares[:, None] * rows.sum(axis=0)  # by split and label
    room = shares * total
    owner = np.full(len(rows), -1, np.int64)
    order = rng.permutation(len(rows))
    order = order[np.argsort(-sizes[order], kind="stable")]  # small groups come last and even out the large ones

    def give(index: int, lack: npt.NDArray[np.float64]) -> None:
        split = np.lexsort((rng.random(len(shares)), room.round(9), lack.round(9)))[-1]
        owner[index] = split
        lacking[split] -= rows[index]
        room[split] -= sizes[index]

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
