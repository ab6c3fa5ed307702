"""Drawing validation, test and small training sets, class by class, from ``split_seed`` alone.

Every draw is a prefix of one random order per class, so that a set of 5 a class is part of the set of 10 a class, and
leaving out other classes changes nothing.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.data.images import ImageSet, Indices
from toolkit.data.naming import listed
from toolkit.errors import DataError

__all__ = ["limit_per_class", "split_parts", "wanted_parts"]

_SPLIT, _LIMIT = 1, 2


def split_parts(
    parts: Mapping[str, ImageSet], classes: Sequence[str], val_fraction: float, test_fraction: float, seed: int
) -> dict[str, ImageSet]:
    """Take what is missing, validation and (if wanted) test, from each class of the training part.

    Args:
        parts: ``train``, and ``val`` and ``test`` where the data set has them.
        classes: Class names.
        val_fraction: Share of each class for validation, in (0, 1); at least one picture.
        test_fraction: The same for the test, in [0, 1); 0: no test set is made.
        seed: Seed of the draw.

    Returns:
        All parts.

    Raises:
        DataError: A class has too few pictures.
    """
    missing = wanted_parts(parts, val_fraction, test_fraction)
    if not missing:
        return dict(parts)
    whole = parts["train"]
    chosen: dict[str, list[Indices]] = {part: [] for part in ("train", *missing)}
    short: list[str] = []
    for number, name in enumerate(classes):
        members = _shuffled_members(whole, number, name, seed, _SPLIT)
        if len(members) <= len(missing):
            short.append(f"{name} ({len(members)})")
            continue
        for part, drawn in _deal(members, missing).items():
            chosen[part].append(drawn)
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


def _deal(members: Indices, shares: Mapping[str, float]) -> dict[str, Indices]:
    """Divide one class: its share, at least one and never the last one, for each part; the rest for training."""
    dealt: dict[str, Indices] = {}
    taken = 0
    for position, (part, share) in enumerate(shares.items()):
        reserved = len(shares) - position  # one for each part that is still to come, training among them
        size = min(max(1, round(share * len(members))), len(members) - taken - reserved)
        dealt[part] = members[taken : taken + size]
        taken += size
    return {**dealt, "train": members[taken:]}


def limit_per_class(images: ImageSet, classes: Sequence[str], most: int, seed: int) -> ImageSet:
    """Keep at most so many pictures of each class.

    Args:
        images: The training set.
        classes: Class names.
        most: Pictures a class, >= 1.
        seed: Seed of the draw; the pictures for ``most`` are among those for ``most + 1``.
    """
    kept = [_shuffled_members(images, number, name, seed, _LIMIT)[:most] for number, name in enumerate(classes)]
    return images.take(np.sort(np.concatenate(kept)))


def _shuffled_members(images: ImageSet, number: int, name: str, seed: int, purpose: int) -> Indices:
    members = np.flatnonzero(images.labels == number).astype(np.int64)
    rng = np.random.default_rng((purpose, seed, zlib.crc32(name.encode(errors="surrogateescape"))))
    return rng.permutation(members)
