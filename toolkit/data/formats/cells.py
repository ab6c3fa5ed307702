"""Parse numbers in text files: labels that are 0 or 1, targets, and weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from toolkit.tasks import Output

_FLAGS: Mapping[str, float] = {"0": 0.0, "0.0": 0.0, "false": 0.0, "1": 1.0, "1.0": 1.0, "true": 1.0}
_LARGEST = float(np.finfo(np.float32).max)


def read_flag(text: str) -> float:
    """Parse 0 or 1; ``1.0`` and ``True`` also count.

    Raises:
        ValueError: Anything else; the message is short.
    """
    value = _FLAGS.get(text.strip().lower())
    if value is None:
        raise ValueError(f"{text.strip()[:40]!r} is not 0 or 1")
    return value


def read_number(text: str) -> float:
    """Parse a finite number that float32 can hold.

    Raises:
        ValueError: The cell is empty, text, NaN or infinity; the message is short.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text.strip()[:40]!r} is not a number") from None
    if not abs(value) <= _LARGEST:  # NaN compares as false
        raise ValueError(f"{text.strip()[:40]!r} is not a finite number")
    return value


def read_weight(text: str) -> float:
    """Parse a finite number >= 0.

    Raises:
        ValueError: Anything else; the message is short.
    """
    value = read_number(text)
    if value < 0:
        raise ValueError(f"{text.strip()[:40]!r} is negative")
    return value


PARSERS: Mapping[Output, Callable[[str], float]] = {"label": read_flag, "target": read_number}
"""Parser for a label or target, by kind of output."""
