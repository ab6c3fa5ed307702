"""What a run has left behind."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from toolkit.engine import RunFolder, TrainingState


def weights_of(folder: RunFolder) -> dict[str, np.ndarray]:
    return TrainingState.load(folder.last).weights


def lines_of(folder: RunFolder) -> list[dict[str, Any]]:
    """Of ``metrics.jsonl``."""
    return [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
