"""Signatures that tell whether a data set is still the one that a run started with, even if it was moved."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from toolkit.data.images import FileImages, ImageSet


def split_signatures(splits: Mapping[str, ImageSet], root: Path | None) -> dict[str, str]:
    """Return a digest of each split that does not change when the data set's folder is moved or copied.

    For files, the digest covers path below ``root``, size, label and weight, but not modification time; for images in
    memory, the pixels. It covers the order, because batches and splits depend on it.

    Args:
        splits: Image sets by split.
        root: Folder of the data set; None if it has none.

    Returns:
        SHA-256 by split, hex.
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
        absolute = path.absolute()
        inside = base is not None and absolute.is_relative_to(base)
        name = absolute.relative_to(base).as_posix() if inside and base is not None else absolute.as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
