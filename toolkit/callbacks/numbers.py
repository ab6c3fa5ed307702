"""Metrics in the logs passed to callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ALIASES = {"acc": "top1"}
"""Aliases that Paddle's own callbacks expect for metrics present under another name."""
_NOT_METRICS = ("seen", "step", "batch_size", "steps")


def metrics_of(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The metrics in the logs, without aliases."""
    logs = logs or {}
    return {
        name: value
        for name, value in logs.items()
        if isinstance(value, (int, float, list, tuple, np.ndarray, np.generic))
        and np.size(value) == 1
        and name not in _NOT_METRICS
        and ALIASES.get(name, name) not in logs.keys() - {name}
    }
