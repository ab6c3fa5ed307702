"""Drawing validation, test and small training sets, class by class, from ``split_seed`` alone.

Every draw is a prefix of one random order per class, so that a set of 5 a class is part of the set of 10 a class, and
leaving out other classes changes nothing. Copies of an image count as the images that they are, and go where it goes;
those of an image in two classes go to training.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.core.errors import DataError
from toolkit.core.names import listed
from toolkit.core.random import Stream, generator
from toolkit.data.duplicates import Copies, content_numbers
from toolkit.data.images import ImageSet, Indices


def split_parts(
    parts: Mapping[str, ImageSet],
    classes: Sequence[str],
    val_fraction: float,
    test_fraction: float,
    seed: int,
    copies: Copies | None = None,
) -> dict[str, ImageSet]:
    """Take what is missing, validation and (if wanted) test, from each class of the training part.

    Args:
        parts: ``train``, and ``val`` and ``test`` where the data set has them.
        classes: Class names.
        val_fraction: Share of each class for validation, in (0, 1); at least one picture.
        test_fraction: The same for the test, in [0, 1); 0: no test set is made.
        seed: Seed of the draw.
        copies: Files that are there more than once.

    Returns:
        All parts.

    Raises:
        DataError: A class has too few different pictures.
    """
    missing = wanted_parts(parts, val_fraction, test_fraction)
    if not missing:
        return dict(parts)
    whole = parts["train"]
    contents = content_numbers(whole, copies or {})
    torn = _in_two_classes(contents, whole.labels)
    chosen: dict[str, list[Indices]] = {part: [] for part in ("train", *missing)}
    short: list[str] = []
    for number, name in enumerate(classes):
        members = _shuffled_members(whole, number, name, seed, Stream.SPLIT)
        together = _together(members, contents)
        movable = [group for group in together if int(contents[group[0]]) not in torn]
        if len(together) <= len(missing) or len(movable) < len(missing):
            alike = "" if len(together) == len(members) else f", {len(together)} different"
            short.append(f"{name} ({len(members)}{alike})")
            continue
        for part, drawn in _deal(movable, len(members), missing).items():
            chosen[part].append(drawn)
        chosen["train"].append(members[np.isin(contents[members], list(torn))])
    if short:
        raise DataError(
            f"too few images to split into {len(missing) + 1} parts (train, {', '.join(missing)}): {listed(short)}",
            hint="add images, leave the class out (data.classes), or make the split yourself (train/ and val/)",
        )
    return {**parts, **{part: whole.take(np.sort(np.concatenate(members))) for part, members in chosen.items()}}


def wanted_parts(parts: Mapping[str, ImageSet], val_fraction: float, test_fraction: float) -> dict[str, float]:
    """The parts that are to be drawn, with their shares of the images."""
    fractions = {"val": val_fraction, "test": test_fraction}
    return {part: share for part, share in fractions.items() if part not in parts and share > 0}


def _in_two_classes(contents: Indices, labels: Indices) -> set[int]:
    """Contents that stand in more than one class."""
    label_of: dict[int, int] = {}
    copied = np.flatnonzero(contents < 0)
    pairs = zip(contents[copied].tolist(), labels[copied].tolist(), strict=True)
    return {content for content, label in pairs if label_of.setdefault(content, label) != label}


def _together(members: Indices, contents: Indices) -> list[list[int]]:
    """The members in order, copies with the first of them."""
    groups: dict[int, list[int]] = {}
    for index in members.tolist():
        groups.setdefault(int(contents[index]), []).append(index)
    return list(groups.values())


def _deal(groups: Sequence[list[int]], total: int, shares: Mapping[str, float]) -> dict[str, Indices]:
    """Divide one class: its share for each part, at least a group and never the last ones; the rest for training.

    Args:
        groups: Copies that stay together, in random order.
        total: Images in the class; more than in ``groups``, where some are in training already.
        shares: Share of each part.
    """
    dealt: dict[str, Indices] = {}
    left, taken, in_training = list(groups), 0, total - sum(map(len, groups))
    for position, (part, share) in enumerate(shares.items()):
        reserved = len(shares) - position - bool(in_training)  # a group for each part to come, training among them
        size = min(max(1, round(share * total)), total - in_training - taken - reserved)
        kept: list[list[int]] = []
        drawn: list[int] = []
        for number, group in enumerate(left):
            room = len(drawn) + len(group) <= size and len(left) - number - 1 + len(kept) >= reserved
            if room:
                drawn += group
            else:
                kept.append(group)
        if not drawn:
            drawn = kept.pop(int(np.argmin([len(group) for group in kept])))
        dealt[part] = np.array(drawn, np.int64)
        left, taken = kept, taken + len(drawn)
    return {**dealt, "train": np.array([index for group in left for index in group], np.int64)}


def limit_per_class(
    images: ImageSet, classes: Sequence[str], most: int, seed: int, copies: Copies | None = None
) -> ImageSet:
    """Keep at most so many pictures of each class; a copy only where there are not as many different ones.

    Args:
        images: The training set.
        classes: Class names.
        most: Pictures a class, >= 1.
        seed: Seed of the draw; the pictures for ``most`` are among those for ``most + 1``.
        copies: Files that are there more than once.
    """
    contents = content_numbers(images, copies or {})
    orders = (_shuffled_members(images, number, name, seed, Stream.SUBSET) for number, name in enumerate(classes))
    kept = [copies_last(order, contents)[:most] for order in orders]
    return images.take(np.sort(np.concatenate(kept)))


def copies_last(order: Indices, contents: Indices) -> Indices:
    """The same positions, those whose content came before after all others.

    Args:
        order: Positions.
        contents: Number of the content at each position (``content_numbers``).
    """
    first = np.zeros(len(order), np.bool_)
    first[np.unique(contents[order], return_index=True)[1]] = True
    return np.concatenate([order[first], order[~first]])


def _shuffled_members(images: ImageSet, number: int, name: str, seed: int, purpose: Stream) -> Indices:
    members = np.flatnonzero(images.labels == number).astype(np.int64)
    rng = generator(purpose, seed, zlib.crc32(name.encode(errors="surrogateescape")))
    return rng.permutation(members)
