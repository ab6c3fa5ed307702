"""What features depend on, and the cache key derived from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 2
"""Version of an entry's files. Other versions have other keys, so that they are never read by mistake."""


@dataclass(frozen=True)
class CacheKey:
    """Everything that determines the features of one image set at one boundary.

    Attributes:
        network: Name of the network.
        stage: Name of the last frozen stage.
        pooled: Whether the features are pooled, ``[N, D]``; otherwise they are the stage's map.
        weights: Hash of the weights and statistics of the frozen stages.
        preprocessing: Image size, crop, mean and standard deviation.
        images: Fingerprint of the image set: files, order, sizes and times, or contents.
        dtype: ``"float16"`` or ``"float32"``.
        engine: The engine that computed them; engines agree only up to rounding.
        view: 0 for the centre crop; n >= 1 for the n-th augmented view of each image.
        augmentation: How an augmented view was made, with its seed; empty for the centre crop.
        below: The boundary and number type of the features these were computed from; empty: from the images.
        title: A display name, for instance ``"train"``. Not part of the key.
    """

    network: str
    stage: str
    pooled: bool
    weights: str
    preprocessing: Mapping[str, Any]
    images: str
    dtype: str
    engine: str = "dygraph"
    view: int = 0
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    below: str = ""
    title: str = ""

    def facts(self) -> dict[str, Any]:
        """The facts for ``FeatureStore.entry``."""
        return asdict(self)


def canonical(value: Any) -> bytes:
    """Canonical text for equal values: JSON with sorted keys, in ASCII.

    Raises:
        TypeError: The value contains something that JSON cannot represent.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def key_of(facts: Mapping[str, Any]) -> str:
    """Name of the entry: 32 hex digits of the SHA-256 of the facts without ``title`` and the format version."""
    relevant = {name: value for name, value in facts.items() if name != "title"}
    return hashlib.sha256(canonical({"format": FORMAT, "facts": relevant})).hexdigest()[:32]
