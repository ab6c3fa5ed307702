"""Helping a person who mistyped a name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches

__all__ = ["listed", "natural_order", "nearest"]

_SHOWN = 5


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint that names the nearest known names, or the first of them."""
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known: {listed(known, 10)}"


def listed(items: Sequence[str], shown: int = _SHOWN) -> str:
    """The first items and how many more there are: ``a, b, c and 4 more``."""
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {more} more" if more > 0 else "")


def natural_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that takes numbers by their values: ``2`` before ``10``, ``no 9`` before ``no 10``."""
    words = re.split(r"(\d+)", name)
    return [(0, int(word), "") if word.isdecimal() else (1, 0, word) for word in words if word], name
