"""Suggestions for mistyped names, and comparison of names."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_SHOWN = 5
_INVISIBLE = re.compile("[\\u00ad\\u200b\\u2060\\ufeff]")
"""Soft hyphen, zero-width space, word joiner and byte order mark."""


def did_you_mean(name: str, known: Iterable[str], most: int = 1) -> str | None:
    """A hint with the nearest known names, ignoring case; None if none is near.

    Args:
        name: The name as written.
        known: The valid names.
        most: Maximum number of suggestions.

    Example:
        >>> did_you_mean("resnet5", ["resnet18", "resnet50", "vgg16"], 2)
        'did you mean resnet50 or resnet18?'
    """
    spelled = {candidate.lower(): candidate for candidate in known}
    near = [spelled[name.lower()]] if name.lower() in spelled else []
    near += get_close_matches(name, list(spelled.values()), n=most)
    near += [spelled[match] for match in get_close_matches(name.lower(), list(spelled), n=most)]
    near = list(dict.fromkeys(near))[:most]
    return f"did you mean {' or '.join(near)}?" if near else None


def nearest(name: str, known: Sequence[str]) -> str:
    """A hint with the nearest known names, or with the first few."""
    return did_you_mean(name, known, 3) or f"known: {listed(known, 10)}"


def listed(items: Sequence[str], shown: int = _SHOWN) -> str:
    """The first items and the number of the rest: ``a, b, c and 4 more``."""
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {more} more" if more > 0 else "")


def natural_order(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that orders numbers by value: ``2`` before ``10``, ``no 9`` before ``no 10``."""
    words = re.split(r"(\d+)", name)
    return [(0, int(word), "") if word.isdecimal() else (1, 0, word) for word in words if word], name


def normal(name: str) -> str:
    """A name without invisible differences: surrounding blanks, zero-width characters, the two encodings of accents."""
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", name)).strip()


def same_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks the same: an exact match, or else the only one with the same normal form."""
    known = tuple(known)
    if name in known:
        return name
    same = [candidate for candidate in known if normal(candidate) == normal(name)]
    return same[0] if len(same) == 1 else None


def alike(names: Iterable[str]) -> list[str]:
    """Groups of names that probably mean the same, quoted: ``'Ant' and 'ant'``, ``'0' and '0.0'``.

    They differ in case (except single letters), white space, accents, invisible characters or number format.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_meaning(name), []).append(name)
    return [_quoted(group) for group in groups.values() if len(group) > 1]


def _meaning(name: str) -> str:
    text = " ".join(normal(unicodedata.normalize("NFKC", name)).split())
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return repr(number)
    return text if len(text) == 1 else text.casefold()


def _quoted(names: Sequence[str]) -> str:
    """The names, escaped if they would look the same otherwise."""
    quote = ascii if len({normal(name) for name in names}) < len(names) else repr
    return " and ".join(map(quote, names))
