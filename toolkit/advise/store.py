"""Measurements on disk, beside the features: a second question is answered at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from toolkit.advise.measurement import Measurement
from toolkit.advise.request import Subject
from toolkit.cache.key import canonical
from toolkit.config import CacheConfig
from toolkit.core.digest import fingerprint
from toolkit.core.files import clear_os_errors, write_text
from toolkit.zoo import StagedNetwork

_FORMAT = 4
"""Version of what is measured; another one is measured anew."""


class Keeper:
    """The folder ``advice`` in ``cache.dir``.

    Args:
        config: The ``cache`` section.
    """

    def __init__(self, config: CacheConfig) -> None:
        self._folder = config.dir.expanduser() / "advice"
        self._content = config.fingerprint == "content"

    def key(self, subject: Subject, network: StagedNetwork, own: bool, *, sample: int, seed: int) -> str:
        """Name for everything that a measurement depends on: 32 hex digits.

        Args:
            subject: Images, labels and how they are prepared.
            network: With its weights.
            own: Its classifier is the weights' own, and not a new one.
            sample: Images to look at, at most.
            seed: Of the sample.
        """
        stages = (network.stage_state(i) for i in range(len(network.stage_names)))
        state = network.state_dict() if own else {key: value for one in stages for key, value in one.items()}
        facts = {
            "format": _FORMAT,
            "network": network.spec.name,
            "weights": fingerprint(state),
            "preprocessing": subject.preprocessing.to_dict(),
            "images": subject.images.pixels_fingerprint(content=self._content),
            "labels": hashlib.sha256(subject.images.labels.tobytes()).hexdigest() if subject.labelled else "",
            "classes": len(subject.classes),
            "task": subject.task,
            "sample": sample,
            "seed": seed,
        }
        return hashlib.sha256(canonical(facts)).hexdigest()[:32]

    def read(self, key: str) -> Measurement | None:
        """A measurement, or None where there is none that can be read."""
        try:
            return Measurement.model_validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, key: str, measurement: Measurement) -> None:
        """Keep a measurement.

        Raises:
            ToolkitError: The folder cannot be written.
        """
        with clear_os_errors(f"the measurement in {self._folder}", place="cache.dir"):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path(key), measurement.model_dump_json())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
