"""Whether a data set is still the one that a run began with, wherever it lies now."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from toolkit.data.images import FileImages, ImageSet


def split_signatures(splits: Mapping[str, ImageSet], root: Path | None) -> dict[str, str]:
    """A digest of each part of a data set that survives a move or a copy of its folder.

    Files count by their path below ``root``, size, label and weight, but not by their modification time; images in
    memory count by their pixels. The order counts, as batches and splits depend on it.

    Args:
        splits: Image sets by part.
        root: Folder of the data set; None where it has none.

    Returns:
        SHA-256 by part, hex.
    """
    return {split: _signature(images, root) for split, images in splits.items()}


def _signature(images: ImageSet, root: Path | None) -> str:
    if not isinstance(images, FileImages):
        return images.fingerprint()
    base = None if root is None else root.expanduser().absolute()
    digest = hashlib.sha256(images.labels.tobytes())
    if images.weights is not None:
        digest.update(images.weights.tobytes())
    for path in images.paths:
        place = path.absolute()
        inside = base is not None and place.is_relative_to(base)
        name = place.relative_to(base).as_posix() if inside and base is not None else place.as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
