"""What is a metric in the logs that callbacks are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

ALIASES = {"acc": "top1"}
"""Names that Paddle's own callbacks want for a metric that is there under another name."""
_NOT_METRICS = ("seen", "step", "batch_size", "steps")


def metrics_of(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """The numbers among the logs that are metrics, each once."""
    logs = logs or {}
    return {
        name: value
        for name, value in logs.items()
        if isinstance(value, (int, float, list, tuple, np.ndarray, np.generic))
        and np.size(value) == 1
        and name not in _NOT_METRICS
        and ALIASES.get(name, name) not in logs.keys() - {name}
    }
