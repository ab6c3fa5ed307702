"""Near names for a name that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """Text to put behind "unknown ...": ``", did you mean resnet50, resnet18?"``, or nothing when none is near."""
    spelled = {one.lower(): one for one in known}
    near = [spelled[one] for one in get_close_matches(name.lower(), list(spelled), n=3, cutoff=0.6)]
    return f", did you mean {', '.join(near)}?" if near else ""
