"""Draw validation, test and small training sets class by class, depending only on ``split_seed``.

Every draw is a prefix of one random order per class, so that a set of 5 per class is a subset of the set of 10 per
class, and dropping other classes changes nothing. Copies of an image count as separate images but stay in its split;
copies in two classes go to training.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.core.random import Stream, generator
from toolkit.data.duplicates import Copies, content_ids
from toolkit.data.images import ImageSet, Indices


def split_by_class(
    splits: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """Draw missing splits, validation and (if requested) test, from each class of the training split.

    Args:
        splits: ``train``, and ``val`` and ``test`` if the data set provides them.
        classes: Class names.
        val_fraction: Fraction of each class for validation, in (0, 1); at least one image.
        test_fraction: Fraction of each class for testing, in [0, 1); 0: no test split.
        seed: Seed of the draw.
        copies: Files that occur more than once.

    Returns:
        All splits.

    Raises:
        DataError: A class has too few different images.
    """
    missing = missing_splits(splits, val_fraction, test_fraction)
    if not missing:
        return dict(splits)
    whole = splits["train"]
    contents = content_ids(whole, copies or {})
    torn = _in_two_classes(contents, whole.labels)
    chosen: dict[str, list[Indices]] = {split: [] for split in ("train", *missing)}
    short: list[str] = []
    for index, name in enumerate(classes):
        members = _shuffled_members(whole, index, name, seed, Stream.SPLIT)
        together = _together(members, contents)
        movable = [group for group in together if int(contents[group[0]]) not in torn]
        if len(together) <= len(missing) or len(movable) < len(missing):
            alike = "" if len(together) == len(members) else f", {len(together)} different"
            short.append(f"{name} ({len(members)}{alike})")
            continue
        for split, drawn in _deal(movable, len(members), missing).items():
            chosen[split].append(drawn)
        chosen["train"].append(members[np.isin(contents[members], list(torn))])
    if short:
        raise DataError(
            f"too few images to split into {len(missing) + 1} splits (train, {', '.join(missing)}): {listed(short)}",
            hint="add images, leave the class out (data.classes), or make the split yourself (train/ and val/)",
        )
    return {**splits, **{split: whole.take(np.sort(np.concatenate(members))) for split, members in chosen.items()}}


def folds_by_class(
    images: ImageSet, classes: Sequence[str], folds: int, seed: int, copies: Copies | None = None
) -> Indices:
    """Assign images to folds, so that each fold holds out an equal share of every class.

    Args:
        images: The training set.
        classes: Class names.
        folds: Number of folds, >= 2.
        seed: Seed of the draw.
        copies: Files that occur more than once; all copies go to one fold.

    Returns:
        The fold of each image, int64 ``[N]`` in 0..folds-1; -1: in no fold, as its class has no other image to learn
        from.
    """
    contents = content_ids(images, copies or {})
    fold_of: dict[int, int] = {}
    owner = np.full(len(images), -1, np.int64)
    start = 0
    for index, name in enumerate(classes):
        groups = _together(_shuffled_members(images, index, name, seed, Stream.FOLDS), contents)
        if len(groups) < 2:
            continue
        for position, group in enumerate(groups, start):
            owner[group] = fold_of.setdefault(int(contents[group[0]]), position % folds)
        start += len(groups)  # the next class goes on where this one ended, so that all folds have about the same size
    return owner


def missing_splits(splits: Mapping[str, ImageSet], val_fraction: float, test_fraction: float) -> dict[str, float]:
    """Return the splits that have to be drawn, with their fractions of the images."""
    fractions = {"val": val_fraction, "test": test_fraction}
    return {split: share for split, share in fractions.items() if split not in splits and share > 0}


def _in_two_classes(contents: Indices, labels: Indices) -> set[int]:
    """Return the contents that occur in more than one class."""
    label_of: dict[int, int] = {}
    copied = np.flatnonzero(contents < 0)
    pairs = zip(contents[copied].tolist(), labels[copied].tolist(), strict=True)
    return {content for content, label in pairs if label_of.setdefault(content, label) != label}


def _together(members: Indices, contents: Indices) -> list[list[int]]:
    """Group the members, in order, so that copies join the first of them."""
    groups: dict[int, list[int]] = {}
    for index in members.tolist():
        groups.setdefault(int(contents[index]), []).append(index)
    return list(groups.values())


def _deal(groups: Sequence[list[int]], total: int, shares: Mapping[str, float]) -> dict[str, Indices]:
    """Divide one class: a share for each split, at least one group each, and the rest for training.

    Args:
        groups: Copies that stay together, in random order.
        total: Images in the class; more than in ``groups`` if some are in training already.
        shares: Share of each split.
    """
    dealt: dict[str, Indices] = {}
    left, taken, in_training = list(groups), 0, total - sum(map(len, groups))
    for position, (split, share) in enumerate(shares.items()):
        reserved = len(shares) - position - bool(in_training)  # one group for each remaining split, including training
        size = min(max(1, round(share * total)), total - in_training - taken - reserved)
        kept: list[list[int]] = []
        drawn: list[int] = []
        for index, group in enumerate(left):
            room = len(drawn) + len(group) <= size and len(left) - index - 1 + len(kept) >= reserved
            if room:
                drawn += group
            else:
                kept.append(group)
        if not drawn:
            drawn = kept.pop(int(np.argmin([len(group) for group in kept])))
        dealt[split] = np.array(drawn, np.int64)
        left, taken = kept, taken + len(drawn)
    return {**dealt, "train": np.array([index for group in left for index in group], np.int64)}


def limit_per_class(
    images: ImageSet, classes: Sequence[str], most: int, seed: int, copies: Copies | None = None
) -> ImageSet:
    """Keep at most ``most`` images of each class; copies only if there are not enough different images.

    Args:
        images: The training set.
        classes: Class names.
        most: Images per class, >= 1.
        seed: Seed of the draw; the images for ``most`` are a subset of those for ``most + 1``.
        copies: Files that occur more than once.
    """
    contents = content_ids(images, copies or {})
    orders = (_shuffled_members(images, index, name, seed, Stream.SUBSET) for index, name in enumerate(classes))
    kept = [copies_last(order, contents)[:most] for order in orders]
    return images.take(np.sort(np.concatenate(kept)))


def copies_last(order: Indices, contents: Indices) -> Indices:
    """Move positions whose content occurred before to the end.

    Args:
        order: Positions.
        contents: Id of the content at each position (``content_ids``).
    """
    first = np.zeros(len(order), np.bool_)
    first[np.unique(contents[order], return_index=True)[1]] = True
    return np.concatenate([order[first], order[~first]])


def _shuffled_members(images: ImageSet, index: int, name: str, seed: int, purpose: Stream) -> Indices:
    members = np.flatnonzero(images.labels == index).astype(np.int64)
    rng = generator(purpose, seed, zlib.crc32(name.encode(errors="surrogateescape")))
    return rng.permutation(members)
