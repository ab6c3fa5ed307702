"""Measurements on disk, next to the cached features, so that a repeated request is answered immediately."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import ValidationError

from toolkit.advise.measurement import Measurement
from toolkit.advise.request import AdviceRequest
from toolkit.cache.key import canonical
from toolkit.config import CacheConfig
from toolkit.core.digest import fingerprint
from toolkit.core.files import clear_os_errors, write_text
from toolkit.zoo import StagedNetwork

_FORMAT = 5
"""Version of the measurement; other versions are measured again."""


class MeasurementStore:
    """The folder ``advice`` in ``cache.dir``.

    Args:
        config: The ``cache`` section.
    """

    def __init__(self, config: CacheConfig) -> None:
        self._folder = config.dir.expanduser() / "advice"
        self._content = config.fingerprint == "content"

    def key(self, request: AdviceRequest, network: StagedNetwork, own: bool, *, sample: int, seed: int) -> str:
        """Return a key for everything that a measurement depends on, 32 hex digits.

        Args:
            request: Images, labels and preprocessing.
            network: The network with its weights.
            own: The classifier belongs to the weights and is not new.
            sample: Maximum number of images to measure.
            seed: Seed of the sample.
        """
        stages = (network.stage_state(i) for i in range(len(network.stage_names)))
        state = network.state_dict() if own else {key: value for stage in stages for key, value in stage.items()}
        facts = {
            "format": _FORMAT,
            "network": network.spec.name,
            "weights": fingerprint(state),
            "preprocessing": request.preprocessing.to_dict(),
            "images": request.images.pixels_fingerprint(content=self._content),
            "labels": hashlib.sha256(request.images.labels.tobytes()).hexdigest() if request.labelled else "",
            "classes": len(request.classes),
            "task": request.task,
            "sample": sample,
            "seed": seed,
        }
        return hashlib.sha256(canonical(facts)).hexdigest()[:32]

    def read(self, key: str) -> Measurement | None:
        """Return a measurement, or None if there is none that can be read."""
        try:
            return Measurement.model_validate_json(self._path(key).read_bytes())
        except (OSError, ValidationError):
            return None

    def write(self, key: str, measurement: Measurement) -> None:
        """Save a measurement.

        Raises:
            ToolkitError: The folder cannot be written.
        """
        with clear_os_errors(f"the measurement in {self._folder}", place="cache.dir"):
            self._folder.mkdir(parents=True, exist_ok=True)
            write_text(self._path(key), measurement.model_dump_json())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
