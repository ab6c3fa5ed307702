"""What features depend on, and the name that follows from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FORMAT = 2
"""Version of the files of an entry. Another version has other keys, so that it is never read by mistake."""


@dataclass(frozen=True)
class CacheKey:
    """Everything that the features of one image set at one boundary depend on.

    Attributes:
        network: Name of the network.
        stage: Name of the last frozen stage.
        pooled: The features are pooled, ``[N, D]``; else they are the stage's map.
        weights: Hash of the weights and statistics of the frozen stages.
        preprocessing: Image size, crop, mean and standard deviation.
        images: Fingerprint of the image set: files, order, sizes and times, or contents.
        dtype: ``"float16"`` or ``"float32"``.
        engine: What computed them; engines agree to rounding only.
        view: 0 for the centre crop; n >= 1 for the n-th augmented view of each image.
        augmentation: What made an augmented view, with its seed; empty for the centre crop.
        below: The boundary from whose features these were computed, and their numbers; empty: from the images.
        title: For people, for instance ``"train"``. Not part of the key.
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
        """As ``FeatureStore.entry`` takes it."""
        return asdict(self)


def canonical(value: Any) -> bytes:
    """One text for equal values: JSON with sorted keys, in ASCII.

    Raises:
        TypeError: The value holds something that JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def key_of(facts: Mapping[str, Any]) -> str:
    """Name of the entry: 32 hex digits of the SHA-256 of the facts without ``title``, and the format's version."""
    relevant = {name: value for name, value in facts.items() if name != "title"}
    return hashlib.sha256(canonical({"format": FORMAT, "facts": relevant})).hexdigest()[:32]
